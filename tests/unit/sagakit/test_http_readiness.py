"""What `/health/ready` answers: 200 for ready and degraded, 503 with a reason for all else."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from sagakit.app.readiness import Readiness, revisions
from sagakit.engine.dependencies import Dependencies
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from sagakit.web.app import create_app
from tests.keys import PUBLIC_KEY

SETTINGS = Settings(token_public_keys=PUBLIC_KEY, service="order", coordination_mode="kafka-choreography")


async def test_what_is_away_degrades_a_service_that_goes_on_taking_work() -> None:
    async def readiness() -> Mapping[str, Any]:
        return {"away": {"kafka": "ConnectionRefusedError: refused"}}

    app = create_app("Order", SETTINGS, readiness)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://order") as client:
        answer = await client.get("/health/ready")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["ready"]) == ("degraded", True)
    assert answer.json()["away"] == {"kafka": "ConnectionRefusedError: refused"}


async def _not_ready_and_degraded() -> Mapping[str, Any]:
    return {"ready": False, "away": {"kafka": "refused"}, "reason": "database read-only"}


async def _not_ready() -> Mapping[str, Any]:
    return {"ready": False, "reason": "inventory runs in another mode"}


async def _raises() -> Mapping[str, Any]:
    raise ConnectionRefusedError(111, "refused")


async def _hangs() -> Mapping[str, Any]:
    await asyncio.sleep(60)
    return {}


@pytest.mark.parametrize("readiness", [_not_ready, _not_ready_and_degraded, _raises, _hangs])
async def test_not_ready_is_503_with_a_reason(readiness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.web.app.READINESS_TIMEOUT", 0.05)
    app = create_app("Order", SETTINGS, readiness)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://order") as client:
        answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["ready"]) == ("not ready", False)
    assert answer.json()["reason"]


class World:
    """All that a Readiness asks, saying what a test lets it say."""

    def __init__(self) -> None:
        self.connected = True
        self.dependencies = Dependencies(Metrics())
        self.database = self.mode = ""
        self.bound: dict[str, str] = {}

    async def problem(self) -> str:
        return self.database

    def ailing(self) -> dict[str, str]:
        return dict.fromkeys(self.bound, "RuntimeError")

    def beyond_bound(self) -> dict[str, str]:
        return self.bound

    def disagreement(self) -> dict[str, str]:
        return {"payment": self.mode} if self.mode else {}

    async def tells(self) -> Mapping[str, Any]:
        this: Any = self
        return await Readiness(this, this, this, "kafka", {"mode": "kafka-choreography"})()


async def test_a_dependency_that_is_away_degrades_a_service_and_keeps_it_ready() -> None:
    world = World()
    assert await world.tells() == {
        "ready": True,
        "mode": "kafka-choreography",
        "database": True,
        "coordination": True,
        "away": {},
        "ailing": {},
    }
    world.connected = False
    told = await world.tells()
    assert (told["ready"], told["coordination"], told["away"]) == (True, False, {"kafka": "not connected yet"})
    world.connected = True

    async def refused() -> None:
        raise ConnectionRefusedError

    world.dependencies.watch("provider", refused)
    told = await world.tells()
    assert (told["ready"], told["coordination"], told["away"].keys()) == (True, True, {"provider"})
    world.dependencies.watch("kafka", refused)
    told = await world.tells()
    assert (told["ready"], told["coordination"], told["away"].keys()) == (True, False, {"kafka", "provider"})


@pytest.mark.parametrize(
    ("what", "value", "reason"),
    [
        ("database", "read-only: cannot execute UPDATE", "database read-only: cannot execute UPDATE"),
        ("bound", {"mode": "KeyError, 7 times in 4 s"}, "mode fails: KeyError, 7 times in 4 s"),
        ("mode", "kafka-orchestration", "payment runs in kafka-orchestration"),
    ],
)
async def test_each_of_these_makes_a_service_not_ready(what: str, value: Any, reason: str) -> None:
    world = World()
    setattr(world, what, value)
    told = await world.tells()
    assert (told["ready"], told["reason"]) == (False, reason)
    assert told["database"] is (what != "database")


async def test_revisions_are_read_in_their_order_from_what_migrations_say(tmp_path: Path) -> None:
    folder = tmp_path / "versions"
    folder.mkdir()
    (folder / "b.py").write_text('revision = "first"\ndown_revision = None\n')
    (folder / "a.py").write_text('revision: str = "third"\ndown_revision: str = "second"\n')
    (folder / "c.py").write_text('"""revision = "no" """\nrevision = "second"\ndown_revision = "first"\n')
    assert revisions(tmp_path) == ("first", "second", "third")
    assert revisions(tmp_path / "nowhere") == ()

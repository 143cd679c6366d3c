"""Faults of messages: set in every replica, removed whatever happens, felt by counts or dead letters."""

import asyncio
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sagakit.modes.unreliable import KINDS
from tests.chaos.faults import failpoints, messages
from tests.chaos.faults.failpoints import everywhere
from tests.chaos.faults.messages import FAULTS
from tests.chaos.model import NotAvailable
from tests.chaos.poison import bodies, is_poison
from tests.chaos.stack import SERVICES, StackUnderTest


class FakeStack(StackUnderTest):
    """Replicas that answer in turn. `now`: what each has been told last; `fired` is what each says it did."""

    def told(self) -> dict[int, Any]:
        now: dict[int, Any] = self.__dict__.setdefault("now", {})
        return now

    async def call(
        self, method: str, path: str, service: str = "order", body: Any = None, seconds: float = 10.0
    ) -> Any:
        assert (method, path) == ("PUT", "/faults")
        turn = self.__dict__["turn"] = self.__dict__.get("turn", 0) + 1
        pid = 100 + turn % int(self.environment.get("REPLICAS", "1"))
        before = self.told().get(pid, {}).get("messages")
        self.told()[pid] = body
        fired: Mapping[str, int] = {before["kind"]: 3} if before else {}
        return {"pid": pid, "fired": fired}


def stack(mode: str = "kafka-choreography", **environment: str) -> FakeStack:
    return FakeStack(mode, Path("/nowhere"), {"FAULT_INJECTION": "on", **environment})


def test_every_kind_that_services_know_is_a_fault() -> None:
    assert set(KINDS) <= set(FAULTS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_strikes_whoever_publishes(kind: str) -> None:
    assert tuple(FAULTS[kind].targets(stack())) == SERVICES
    assert tuple(FAULTS[kind].targets(stack("temporal-choreography"))) == SERVICES
    assert tuple(FAULTS[kind].targets(stack("temporal-orchestration"))) == ("order",), "all else are activities"
    with pytest.raises(NotAvailable, match="FAULT_INJECTION=on is needed"):
        FAULTS[kind].targets(stack(FAULT_INJECTION="off"))


@pytest.mark.parametrize("replicas", ["1", "3"])
async def test_every_replica_gets_the_fault_and_loses_it_again(replicas: str) -> None:
    system = stack(REPLICAS=replicas)
    injection = await FAULTS["duplicated"].inject(system, "payment", 0.01, random.Random(1))
    assert len(system.told()) == int(replicas)
    assert all(one == {"set": []} for one in system.told().values())
    assert injection.felt is True
    assert injection.detail == f"{3 * int(replicas)} messages duplicated"


async def test_the_successor_of_a_killed_process_gets_the_fault_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "AGAIN_EVERY", 0.01)
    told: list[tuple[int, Any]] = []

    async def call(method: str, path: str, service: str = "order", body: Any = None, seconds: float = 10.0) -> Any:
        pid = 100 if len(told) < 2 else 101
        if len(told) == 2:
            told.append((pid, None))
            raise TimeoutError("it is being restarted")
        told.append((pid, body.get("messages")))
        return {"pid": pid, "fired": {"duplicated": 7 if pid == 100 else len(told) - 4}}

    system = stack()
    monkeypatch.setattr(system, "call", call)
    injection = await FAULTS["duplicated"].inject(system, "payment", 0.2, random.Random(1))
    assert injection.felt is True
    assert injection.detail == f"{len(told) - 4} messages duplicated", (
        "those of the killed one from before do not count"
    )
    assert [body for pid, body in told if pid == 101][1]["kind"] == "duplicated"
    assert told[-1] == (101, None), "and nothing is left of it"


async def test_a_fault_that_has_had_nothing_to_strike_stays_until_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "AGAIN_EVERY", 0.01)
    began, calls = time.monotonic(), list[Any]()

    async def call(method: str, path: str, service: str = "order", body: Any = None, seconds: float = 10.0) -> Any:
        calls.append(body)
        return {"pid": 100, "fired": {"delayed": int(time.monotonic() - began > 0.3)}}

    system = stack()
    monkeypatch.setattr(system, "call", call)
    injection = await FAULTS["delayed"].inject(system, "payment", 0.02, random.Random(1))
    assert injection.felt is True
    assert 0.3 < time.monotonic() - began < failpoints.STRIKES_WITHIN
    assert calls[-1] == {"set": []}


async def test_a_fault_that_strikes_nothing_at_all_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "STRIKES_WITHIN", 0.1)

    async def call(method: str, path: str, service: str = "order", body: Any = None, seconds: float = 10.0) -> Any:
        return {"pid": 100, "fired": {}}

    system = stack()
    monkeypatch.setattr(system, "call", call)
    injection = await FAULTS["delayed"].inject(system, "payment", 0.02, random.Random(1))
    assert injection.felt is False


async def test_it_is_removed_when_the_run_is_cancelled() -> None:
    system = stack()
    injecting = asyncio.create_task(FAULTS["delayed"].inject(system, "payment", 60, random.Random(1)))
    async with asyncio.timeout(5):
        while not system.told():  # noqa: ASYNC110 - the stack is a fake
            await asyncio.sleep(0)
        injecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await injecting
    assert list(system.told().values()) == [{"set": []}]


async def test_an_unreachable_replica_does_not_block_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def one_and_the_same(*arguments: Any) -> Any:
        return {"pid": 100, "fired": {}}

    system = stack(REPLICAS="2")
    monkeypatch.setattr(system, "call", one_and_the_same)
    assert set(await everywhere(system, "order", {"set": []})) == {100}


def test_poison_is_recognized_and_nothing_else_is() -> None:
    assert all(is_poison(body) for body in bodies())
    as_text = [body.decode(errors="replace").replace("\x00", " ").encode() or b" " for body in bodies()]
    assert all(is_poison(body) for body in as_text), "as SQS carries it"
    assert all(is_poison(b'{"data": "' + body.hex().encode() + b'"}') for body in bodies() if len(body) > 4)
    assert is_poison(b'{"data":"","type":"OrderConfirmed"}'), "nothing, as Temporal carries it"
    assert not is_poison(b'{"type": "quartet.OrderPlaced.v1", "data": {"order_id": "9c1f"}}')


async def test_poison_is_felt_by_its_dead_letters_and_accounted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    away = ["shipping"]

    async def query(stack: Any, service: str, statement: str, *arguments: Any) -> list[Any]:
        if service in away:
            raise asyncpg.TooManyConnectionsError("another fault is in force there")
        if service == "shipping":
            return [{"id": "late", "body": b"\xff\xfe\x00broken"}]
        theirs = {"id": "real", "body": b'{"type": "quartet.OrderPlaced.v1"}'}
        return [{"id": "ours", "body": b"{not json"}, theirs]

    async def send(*arguments: Any) -> None:
        """Send nothing."""

    monkeypatch.setattr(messages, "query", query)
    monkeypatch.setattr(messages, "poison", send)
    monkeypatch.setattr(messages, "QUIET", 0.05)
    monkeypatch.setattr(messages, "LOOK_EVERY", 0.01)
    system = stack()
    injection = await FAULTS["poisoned"].inject(system, "broker", 0.1, random.Random(1))
    assert injection.felt is True
    assert injection.ended is not None
    assert system.accounted == {"ours"}, "a dead letter that nobody meant is still held against the run"
    away.clear()
    await messages.account_for_poison(system, injection.began)
    assert system.accounted == {"ours", "late"}, "what was written after the fault had healed"


async def test_poison_that_vanishes_without_a_dead_letter_has_not_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*arguments: Any) -> list[Any]:
        return []

    for name, value in {"query": nothing, "poison": nothing, "LETTERS_WITHIN": 0.1, "LOOK_EVERY": 0.01}.items():
        monkeypatch.setattr(messages, name, value)
    injection = await FAULTS["poisoned"].inject(stack(), "broker", 0.1, random.Random(1))
    assert (injection.felt, injection.ended) == (False, None)

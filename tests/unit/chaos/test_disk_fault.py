"""A full disk under a database: writes are refused, the server lives, and all is as before afterwards."""

import asyncio
import random
from pathlib import Path

import asyncpg
import pytest

from tests.chaos.faults import disk
from tests.chaos.faults.disk import FAULTS
from tests.chaos.model import NotAvailable
from tests.chaos.stack import SERVICES, StackUnderTest
from tests.postgres import Server

PLACES = "SELECT count(*) FROM pg_class WHERE reltablespace <> 0 AND relname = ANY($1)"


def test_where_nothing_may_be_mounted_it_is_not_run_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    system = StackUnderTest("kafka-choreography", Path("/nowhere"), {})
    monkeypatch.setattr(disk, "_may_mount", lambda: True)
    assert tuple(FAULTS["disk-full"].targets(system)) == tuple(f"{service}-db" for service in SERVICES)
    followed = StackUnderTest("kafka-choreography", Path("/nowhere"), {"DB_STANDBY": "order,payment,inventory"})
    assert tuple(FAULTS["disk-full"].targets(followed)) == ("shipping-db",)
    followed.environment = {"DB_STANDBY": ",".join(SERVICES)}
    with pytest.raises(NotAvailable, match="each database of this stack has a standby"):
        FAULTS["disk-full"].targets(followed)
    monkeypatch.setattr(disk, "_may_mount", lambda: False)
    with pytest.raises(NotAvailable, match="CAP_SYS_ADMIN"):
        FAULTS["disk-full"].targets(system)


async def test_writes_are_refused_while_it_lasts_and_nothing_is_left_of_it(postgres: Server, payment_url: str) -> None:
    """Where mounting is not allowed, the test only checks that the fault says so."""
    system = StackUnderTest("kafka-choreography", postgres.folder, {"PAYMENT_DATABASE_URL": payment_url})
    logs = postgres.folder / "run" / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "payment-db.log").symlink_to(postgres.folder / "postgres.log")
    injecting = asyncio.create_task(FAULTS["disk-full"].inject(system, "payment-db", 3.0, random.Random(1)))
    writer = await asyncpg.connect(payment_url)
    try:
        refused = await _refused(writer, injecting)
        try:
            injection = await injecting
        except (NotAvailable, FileNotFoundError):
            assert not disk._may_mount() or not refused
            return
        assert refused
        assert injection.felt is True
        await writer.execute("INSERT INTO inbox (id, cause) VALUES ('afterwards', NULL)")
        assert await writer.fetchval(PLACES, disk.TABLES) == 0
    finally:
        await writer.close()
    assert list(postgres.folder.rglob("small-*")) == []


async def _refused(writer: asyncpg.Connection, injecting: "asyncio.Task[object]") -> bool:
    """Whether a row was refused for lack of space."""
    number = 0
    while not injecting.done():
        number += 1
        try:
            await writer.execute("INSERT INTO inbox (id, cause) VALUES ($1, $2)", f"{number}", "x" * 1000)
        except asyncpg.DiskFullError:
            return True
    return False

"""The thread that owns the ledger outlives whatever its database does to it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from provider_sandbox.ledger import Ledger
from sagakit.web.app import Unavailable


class Failing(sqlite3.Connection):
    """A database on a disk that is full, or gone: statements that begin with one of `broken` fail."""

    broken: tuple[str, ...] = ()
    opened = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        Failing.opened += 1
        if "OPEN" in Failing.broken:
            raise sqlite3.OperationalError("unable to open database file")

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql.startswith(Failing.broken or ("\0",)):
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *arguments)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> type[Failing]:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Failing, **options))
    monkeypatch.setattr(Failing, "broken", ())
    monkeypatch.setattr(Failing, "opened", 0)
    return Failing


@pytest.mark.parametrize(
    "broken",
    [("COMMIT", "ROLLBACK"), ("INSERT", "ROLLBACK"), ("COMMIT",), ("BEGIN",), ("COMMIT", "ROLLBACK", "PRAGMA", "OPEN")],
)
async def test_a_ledger_that_could_not_be_written_or_rolled_back_works_again(
    tmp_path: Path, failing: type[Failing], broken: tuple[str, ...]
) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    await ledger.open()
    await ledger.run(lambda db: db.execute("CREATE TABLE seen (id)").fetchone())

    def note(db: sqlite3.Connection) -> int:
        db.execute("INSERT INTO seen VALUES (1)")
        count: int = db.execute("SELECT count(*) FROM seen").fetchone()[0]
        return count

    async with asyncio.timeout(5):
        assert await ledger.run(note) == 1
        failing.broken = broken
        for _ in range(3):
            answers = await asyncio.gather(*(ledger.run(note) for _ in range(3)), return_exceptions=True)
            assert [type(answer) for answer in answers] == [Unavailable] * 3
        failing.broken = ()
        assert await ledger.run(note) == 2, "nothing of what failed was kept"
    await ledger.close()
    assert not [one for one in threading.enumerate() if one.name == "ledger"]


async def test_a_failed_rollback_closes_the_connection(tmp_path: Path, failing: type[Failing]) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    await ledger.open()
    failing.broken = ("COMMIT", "ROLLBACK")
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await ledger.run(lambda db: None)
        failing.broken = ()
        await ledger.run(lambda db: None)
    assert failing.opened == 2
    await ledger.close()

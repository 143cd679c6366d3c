"""A full disk under a database: its busiest tables are moved to a small file system, which is then filled."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from tests.chaos.model import Fault, Injection, NotAvailable
from tests.chaos.stack import SERVICES, StackUnderTest

TABLES: Final = ("inbox", "journal", "outbox", "outbox_batch")
ROOM: Final = 4 << 20
CHUNK: Final = bytes(1 << 16)
WITHIN: Final = 30.0
MOUNTING: Final = 1 << 21  # CAP_SYS_ADMIN
SAID: Final = "No space left on device"
BALLAST: Final = "ballast"


@dataclass(slots=True)
class DiskFull:
    """The tables that every command writes are moved to a tmpfs, which is filled; afterwards they are moved back.

    The log of the database stays on its own disk, so that the server refuses writes and does not stop. Felt when the
    server logged it.
    """

    name: str = "disk-full"
    kind: str = "resource"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        if not _may_mount():
            raise NotAvailable("a small file system has to be mounted: root with CAP_SYS_ADMIN and mount are needed")
        standbys = stack.environment.get("DB_STANDBY", "off").split(",")  # a tablespace would be in the place of both
        alone = tuple(f"{service}-db" for service in SERVICES if service not in standbys)
        if not alone:
            raise NotAvailable("each database of this stack has a standby, which would need the same small file system")
        return alone

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        service = target.removesuffix("-db")
        log, url = stack.folder / "run" / "logs" / f"{target}.log", _superuser(stack, service)
        data = await _data_of(url)
        place = data.parent / f"small-{target}"
        try:
            await _move(url, data, place)
            injection, before = Injection(self.name, target, time.time()), log.stat().st_size
            await asyncio.to_thread(_fill, place)
            await asyncio.sleep(seconds)
            injection.ended = time.time()
        finally:
            await asyncio.shield(_move_back(url, place))
        times = _text_since(log, before).count(SAID)
        injection.felt = times > 0
        injection.detail = f"the server said {times} times that there was no room"
        return injection


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return os.geteuid() == 0 and shutil.which("mount") is not None and bool(int(effective, 16) & MOUNTING)


def _superuser(stack: StackUnderTest, service: str) -> str:
    """The URL of the service's database, for the superuser of its server."""
    password = json.loads((stack.folder / "data" / "secrets.json").read_text())["postgres"]
    place = stack.environment[f"{service.upper()}_DATABASE_URL"].rpartition("@")[2]
    return f"postgresql://postgres:{password}@{place}"


async def _data_of(url: str) -> Path:
    """The data folder of the server; its user can enter the folder above."""
    session = await asyncpg.connect(url, timeout=WITHIN)
    try:
        return Path(await session.fetchval("SHOW data_directory"))
    finally:
        await session.close()


async def _move(url: str, data: Path, place: Path) -> None:
    """Mount a small file system, and move the tables to it. NotAvailable if mounting is refused."""
    session = await asyncpg.connect(url, timeout=WITHIN)
    try:
        size = await session.fetchval("SELECT sum(pg_table_size(one::regclass)) FROM unnest($1::text[]) one", TABLES)
        await asyncio.to_thread(_mount, place, data, int(size) + ROOM)
        await session.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        await _to(session, "small")
    finally:
        await session.close()


async def _move_back(url: str, place: Path) -> None:
    """Free the space, move the tables back to their disk, and unmount the file system."""
    with suppress(FileNotFoundError):
        (place / BALLAST).unlink()
    session = await asyncpg.connect(url, timeout=WITHIN)
    try:
        await _to(session, "pg_default")
        await session.execute("CHECKPOINT")
        await session.execute("DROP TABLESPACE IF EXISTS small")
    finally:
        await session.close()
    await asyncio.to_thread(_unmount, place)


async def _to(session: Any, tablespace: str) -> None:
    """Move each table to a tablespace, as soon as it is not in use."""
    for table in TABLES:
        async with asyncio.timeout(WITHIN):
            while True:
                with suppress(asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                    await session.execute(f"ALTER TABLE {table} SET TABLESPACE {tablespace}")
                    break


def _mount(place: Path, data: Path, size: int) -> None:
    """Mount a tmpfs for the owner of `data` only. NotAvailable if mounting is refused."""
    owner = data.stat()
    place.mkdir(exist_ok=True)
    options = f"size={size},uid={owner.st_uid},gid={owner.st_gid},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        place.rmdir()
        raise NotAvailable(f"a small file system cannot be mounted: {done.stderr.strip()}")


def _unmount(place: Path) -> None:
    if place.is_mount():
        # lazily: processes of the server may still have a deleted file open
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def _fill(place: Path) -> None:
    with suppress(OSError), (place / BALLAST).open("xb", buffering=0) as ballast:
        while True:
            ballast.write(CHUNK)


def _text_since(log: Path, position: int) -> str:
    with log.open(errors="replace") as lines:
        lines.seek(position)
        return lines.read()


FAULTS: Final[Mapping[str, Fault]] = {DiskFull().name: DiskFull()}

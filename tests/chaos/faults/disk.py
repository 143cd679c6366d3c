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

from quartet_stack import api
from tests.chaos.model import Fault, Injection, NotAvailable
from tests.chaos.stack import SERVICES, StackUnderTest

TABLES: Final = ("inbox", "journal", "outbox", "outbox_batch")
ROOM: Final = 4 << 20
CHUNK: Final = bytes(1 << 16)
WITHIN: Final = 30.0
MOUNTING: Final = 1 << 21  # CAP_SYS_ADMIN
SAID: Final = "No space left on device"
BALLAST: Final = "ballast"


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A tmpfs at `place` for the owner of the folder `data`.

    Both are paths of the server: if that is in a container, `process` is its id, in whose view of the files it is
    mounted.
    """

    place: Path
    data: Path
    process: int | None = None

    def seen(self, path: Path) -> Path:
        """The server's path as this process sees it."""
        return path if self.process is None else Path(f"/proc/{self.process}/root") / path.relative_to("/")

    def mount(self, size: int) -> None:
        """Mount it with room for `size` bytes. NotAvailable if that is refused."""
        owner = self.seen(self.data).stat()
        self.seen(self.place).mkdir(exist_ok=True)
        options = f"size={size},uid={owner.st_uid},gid={owner.st_gid},mode=700"
        done = self._run("mount", "-t", "tmpfs", "-o", options, "none", str(self.place))
        if done.returncode:
            self.seen(self.place).rmdir()
            raise NotAvailable(f"a small file system cannot be mounted: {done.stderr.strip()}")

    def unmount(self) -> None:
        """Unmount it, if it is mounted: lazily, since processes of the server may have a deleted file open."""
        if self.seen(self.place).is_mount():
            self._run("umount", "--lazy", str(self.place)).check_returncode()
            self.seen(self.place).rmdir()

    def fill(self) -> None:
        """Write until there is no room left."""
        with suppress(OSError), self.seen(self.place / BALLAST).open("xb", buffering=0) as ballast:
            while True:
                ballast.write(CHUNK)

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        there = () if self.process is None else ("nsenter", "--mount", "--pid", f"--target={self.process}")
        return subprocess.run([*there, *command], capture_output=True, text=True, check=False)


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
        log, url = api.log(target, stack.folder), _superuser(stack, target.removesuffix("-db"))
        disk = await _disk(stack, target, url)
        try:
            await _move(url, disk)
            injection, before = Injection(self.name, target, time.time()), log.stat().st_size
            await asyncio.to_thread(disk.fill)
            await asyncio.sleep(seconds)
            injection.ended = time.time()
        finally:
            await asyncio.shield(_move_back(url, disk))
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


async def _disk(stack: StackUnderTest, target: str, url: str) -> SmallDisk:
    """The file system to be mounted beside the server's data folder, which the server's user can enter."""
    session = await asyncpg.connect(url, timeout=WITHIN)
    try:
        data = Path(await session.fetchval("SHOW data_directory"))
    finally:
        await session.close()
    if not stack.in_containers:
        return SmallDisk(data.parent / f"small-{target}", data)
    pid = (await stack.processes())[target]  # beside its data folder a container's files are read-only
    return SmallDisk(Path("/tmp") / f"small-{target}", data, pid)  # noqa: S108 - that of the container


async def _move(url: str, disk: SmallDisk) -> None:
    """Mount a small file system, and move the tables to it. NotAvailable if mounting is refused."""
    session = await asyncpg.connect(url, timeout=WITHIN)
    try:
        size = await session.fetchval("SELECT sum(pg_table_size(one::regclass)) FROM unnest($1::text[]) one", TABLES)
        await asyncio.to_thread(disk.mount, int(size) + ROOM)
        await session.execute(f"CREATE TABLESPACE small LOCATION '{disk.place}'")
        await _to(session, "small")
    finally:
        await session.close()


async def _move_back(url: str, disk: SmallDisk) -> None:
    """Free the space, move the tables back to their disk, and unmount the file system."""
    with suppress(FileNotFoundError):
        disk.seen(disk.place / BALLAST).unlink()
    session = await asyncpg.connect(url, timeout=WITHIN)
    try:
        await _to(session, "pg_default")
        await session.execute("CHECKPOINT")
        await session.execute("DROP TABLESPACE IF EXISTS small")
    finally:
        await session.close()
    await asyncio.to_thread(disk.unmount)


async def _to(session: Any, tablespace: str) -> None:
    """Move each table to a tablespace, as soon as it is not in use."""
    for table in TABLES:
        async with asyncio.timeout(WITHIN):
            while True:
                with suppress(asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                    await session.execute(f"ALTER TABLE {table} SET TABLESPACE {tablespace}")
                    break


def _text_since(log: Path, position: int) -> str:
    with log.open(errors="replace") as lines:
        lines.seek(position)
        return lines.read()


FAULTS: Final[Mapping[str, Fault]] = {DiskFull().name: DiskFull()}

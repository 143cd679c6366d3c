"""`make promote`: the standby of a database takes over, and the old primary never comes back as one.

In this order, each step done before the next: the standby is known to have all that was answered; the old primary is
stopped, with every process of it at one moment; it is written down that the other server is the primary now and that
this one is fenced; its cluster is deleted; the standby is promoted. Where this is interrupted, `make up` goes on from
there. At last a copy of the new primary is made its standby. Until that has caught up the new primary waits for
nobody: this is said, and shown by `make status`.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout, locked
from quartet_stack.processes.programs import STOP_SECONDS
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.secrets_store import read
from quartet_stack.servers import replication, standby
from quartet_stack.servers.standby import Mark
from quartet_stack.settings import Settings, resolve, stack_environment

Report = Callable[[str], None]
LOOK_EVERY: Final = 0.02


class Servers(Protocol):
    """How servers are stopped and made anew: natively, or in containers."""

    def silence(self, place: Layout, service: str, server: str) -> None:
        """End a server with every process of it at one moment; it stays so."""
        ...

    def fence(self, place: Layout, service: str) -> None:
        """Delete the cluster of a primary that was replaced, if its promotion is under way."""
        ...

    def remake(self, settings: Settings, secrets: Mapping[str, str], service: str) -> None:
        """Make a copy of the primary of the server that is not, and start it."""
        ...


class Native:
    """Servers that are programs of a native stack."""

    def silence(self, place: Layout, service: str, server: str) -> None:
        silence(place, f"{service}-{server}", standby.folder(place, service, server))

    def fence(self, place: Layout, service: str) -> None:
        fence(place, service)

    def remake(self, settings: Settings, secrets: Mapping[str, str], service: str) -> None:
        replication.remake(settings, secrets, Supervisor(settings.layout), service)


def promote(place: Layout, service: str, report: Report = lambda line: None, servers: Servers | None = None) -> None:
    """Let the standby take over and make a new one; `StackError`, and nothing is changed, where there is none to trust.

    Services find the new primary by themselves.
    """
    servers = servers or Native()
    settings, secrets = recorded(place), read(place)
    with locked(place.root / "stack.lock", "another make that is changing this stack"):
        mark = standby.mark(place, service)
        check(settings, secrets, service, mark)
        old = f"{service}-{mark.primary}"
        report(f"stopping {old}")
        servers.silence(place, service, mark.primary)
        standby.write(place, service, Mark(primary=mark.other, confirmed=False, fenced=True))
        servers.fence(place, service)
        report(f"{old} is fenced; promoting {service}-{mark.other}")
        replication.promote(settings, secrets, service)
        report(f"{service}-{mark.other} is the primary, and alone; copying it to {old}")
        servers.remake(settings, secrets, service)
        replication.attach(settings, secrets, service, float(settings["READY_TIMEOUT"]))
        report(f"{old} is its standby, and each commit waits for it")


def told(place: Layout) -> list[str]:
    """One line for each database of the running stack that has a standby: which server is which, and how far behind."""
    try:
        settings, secrets = recorded(place), read(place)
    except StackError:
        return []
    return [_told(settings, secrets, service) for service in settings.standbys]


def _told(settings: Settings, secrets: Mapping[str, str], service: str) -> str:
    mark = standby.mark(settings.layout, service)
    primary, other = f"{service}-{mark.primary}", f"{service}-{mark.other}"
    line = f"{service}: {primary} is the primary, {other}"
    try:
        said = replication.following(settings, secrets, service)
    except StackError as error:
        return f"{line} its standby; {error}"
    if said is None:
        held = "so every write waits for it" if mark.confirmed else "and no write waits for it: make up attaches it"
        return f"{line} does not follow it, {held}"
    waits = "each commit waits for it" if said.sync else "no commit waits for it yet: make up"
    return f"{line} its standby ({said.state}, {said.behind:,} bytes behind); {waits}"


def recorded(place: Layout) -> Settings:
    """The settings of the stack that runs, with this layout."""
    found = resolve({**stack_environment(place.root), "STACK_DIR": str(place.root)})
    return replace(found, layout=place)


def silence(place: Layout, name: str, data: Path) -> None:
    """End a server and every process of it at one moment, so that none shows what another had not confirmed yet.

    A backend whose commit waits for the standby would else end its wait when its server stops, and others might read
    for a moment what only this server has. `StackError` if anything of it stays.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while running := [pid for pid, state in _processes(data).items() if state not in "TZ"]:
        _signal(running, signal.SIGSTOP)
        _in_time(deadline, name, running)
    with ThreadPoolExecutor(1) as thread:
        stopped = thread.submit(Supervisor(place).stop, name)
        while not stopped.done() and name in _restarted(place):
            _in_time(deadline, name, [])
        while (left := _processes(data)) or not stopped.done():
            _signal(left, signal.SIGKILL)
            _in_time(deadline, name, list(left))
        stopped.result()


def fence(place: Layout, service: str) -> None:
    """Delete the cluster of a primary that was replaced, if its promotion got no further; nothing can start it then."""
    mark = standby.mark(place, service)
    if not mark.fenced:
        return
    data = standby.folder(place, service, mark.other)
    if _processes(data):
        silence(place, f"{service}-{mark.other}", data)
    if data.is_dir() and not data.is_symlink():
        shutil.rmtree(data)


def check(settings: Settings, secrets: Mapping[str, str], service: str, mark: Mark) -> None:
    """Raise `StackError` unless the standby is there and has all that was answered."""
    if service not in settings.standbys:
        raise StackError(f"the database of {service} has no standby; give it one with: make up DB_STANDBY={service}")
    if not mark.confirmed:
        raise StackError(f"the standby of {service} has not caught up yet, so it may lack orders; make up waits for it")

    async def in_recovery(connection: Any) -> bool:
        return bool(await connection.fetchval("SELECT pg_is_in_recovery()"))

    if not replication.ask(settings, secrets, service, mark.other, in_recovery):
        raise StackError(f"{service}-{mark.other} is no standby; nothing was changed; see make logs")


def _restarted(place: Layout) -> set[str]:
    """The programs that would be started again if they died."""
    return {one.program for one in Supervisor(place).processes() if one.state in ("STARTING", "RUNNING", "BACKOFF")}


def _processes(data: Path) -> dict[int, str]:
    """The processes that are at home in a cluster's folder, orphans of a killed server among them, and their states."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "cwd").readlink() == data:
                found[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()[0]
    return found


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _in_time(deadline: float, name: str, left: Sequence[int]) -> None:
    if time.monotonic() > deadline:
        raise StackError(f"{name} cannot be stopped (processes {left}), so nothing was promoted")
    time.sleep(LOOK_EVERY)

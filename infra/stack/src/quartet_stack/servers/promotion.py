"""`make promote`: the standby of a database takes over, and the old primary never runs as a primary again.

The steps, each complete before the next: check that the standby has every answered commit; stop the old primary, all
its processes at the same moment; record that the other server is the primary and that this one is fenced; delete the
cluster of the old primary; promote the standby. If this is interrupted, `make up` continues from there. Finally the old
primary becomes the standby, as a copy of the new one. Until it has caught up, commits on the new primary wait for no
standby; `make promote` and `make status` say so.
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
from typing import Final, Protocol

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout, alone
from quartet_stack.processes.programs import STOP_SECONDS
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.secrets_store import read
from quartet_stack.servers import replication, sessions, standby
from quartet_stack.servers.standby import Mark
from quartet_stack.settings import Settings, resolve, stack_environment

Report = Callable[[str], None]
POLL_SECONDS: Final = 0.02


class Servers(Protocol):
    """How servers are stopped and recreated: natively, or in containers."""

    def silence(self, place: Layout, service: str, server: str) -> None:
        """Stop a server, all its processes at the same moment; it does not start again by itself."""

    def fence(self, place: Layout, service: str) -> None:
        """Delete the cluster of a replaced primary, if its promotion is under way."""

    def remake(self, settings: Settings, secrets: Mapping[str, str], service: str) -> None:
        """Recreate the server that is not the primary as a copy of the primary, and start it."""


class Native:
    """Servers that are programs of a native stack."""

    def silence(self, place: Layout, service: str, server: str) -> None:
        """Stop a server, all its processes at the same moment."""
        silence(place, f"{service}-{server}", standby.folder(place, service, server))

    def fence(self, place: Layout, service: str) -> None:
        """Delete the cluster of a replaced primary, if its promotion is under way."""
        fence(place, service)

    def remake(self, settings: Settings, secrets: Mapping[str, str], service: str) -> None:
        """Recreate the standby as a copy of the primary, and start it."""
        replication.remake(settings, secrets, Supervisor(settings.layout), service)


def promote(place: Layout, service: str, report: Report = lambda line: None, servers: Servers | None = None) -> None:
    """Let the standby take over, and make the old primary its standby. Services find the new primary by themselves.

    `StackError`, before anything is changed, unless the standby has every answered commit.
    """
    servers = servers or Native()
    settings, secrets = recorded_settings(place), read(place)
    with alone(place):
        mark = standby.mark(place, service)
        check(settings, secrets, service, mark)
        old = f"{service}-{mark.primary}"
        report(f"stopping {old}")
        servers.silence(place, service, mark.primary)
        standby.write(place, service, Mark(primary=mark.other, confirmed=False, fenced=True))
        servers.fence(place, service)
        report(f"{old} is fenced; promoting {service}-{mark.other}")
        replication.promote(settings, secrets, service)
        report(f"{service}-{mark.other} is the primary, without a standby yet; copying it to {old}")
        servers.remake(settings, secrets, service)
        replication.attach(settings, secrets, service, float(settings["READY_TIMEOUT"]))
        report(f"{old} is its standby, and each commit waits for it")


def describe(place: Layout) -> list[str]:
    """A line for each database with a standby: which server is the primary, and how far the standby is behind."""
    try:
        settings, secrets = recorded_settings(place), read(place)
    except StackError:
        return []
    return [_describe(settings, secrets, service) for service in settings.standbys]


def _describe(settings: Settings, secrets: Mapping[str, str], service: str) -> str:
    mark = standby.mark(settings.layout, service)
    primary, other = f"{service}-{mark.primary}", f"{service}-{mark.other}"
    line = f"{service}: {primary} is the primary, {other}"
    try:
        status = replication.status(settings, secrets, service)
    except StackError as error:
        return f"{line} its standby; {error}"
    if status is None:
        effect = "so every write waits for it" if mark.confirmed else "and no write waits for it; to attach it: make up"
        return f"{line} does not follow it, {effect}"
    waits = "each commit waits for it" if status.sync else "no commit waits for it yet; to attach it: make up"
    return f"{line} its standby ({status.state}, {status.behind:,} bytes behind); {waits}"


def recorded_settings(place: Layout) -> Settings:
    """The settings of the running stack, with this layout."""
    settings = resolve({**stack_environment(place.root), "STACK_DIR": str(place.root)})
    return replace(settings, layout=place)


def silence(place: Layout, name: str, data: Path) -> None:
    """Stop a server, all its processes at the same moment; `StackError` if one of them does not end.

    Otherwise a backend whose commit waits for the standby would end its wait when its server stops, and for a moment
    others could read what only this server has.
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
    """Delete the cluster of a replaced primary if its promotion is under way; after that, nothing can start it."""
    mark = standby.mark(place, service)
    if not mark.fenced:
        return
    data = standby.folder(place, service, mark.other)
    if _processes(data):
        silence(place, f"{service}-{mark.other}", data)
    if data.is_dir() and not data.is_symlink():
        shutil.rmtree(data)


def check(settings: Settings, secrets: Mapping[str, str], service: str, mark: Mark) -> None:
    """Check that the standby may be promoted.

    Raises:
        StackError: There is no standby, or it may lack an answered commit.
    """
    if service not in settings.standbys:
        raise StackError(f"the database of {service} has no standby; to create one: make up DB_STANDBY={service}")
    if not mark.confirmed:
        raise StackError(
            f"the standby of {service} has not caught up yet, so it may lack orders; to wait for it: make up"
        )
    if not sessions.run(settings, secrets, service, mark.other, sessions.in_recovery):
        raise StackError(f"{service}-{mark.other} is not a standby; nothing was changed; for its log: make logs")


def _restarted(place: Layout) -> set[str]:
    """The programs that supervisord would start again if they ended."""
    states = ("STARTING", "RUNNING", "BACKOFF")
    return {process.program for process in Supervisor(place).processes() if process.state in states}


def _processes(data: Path) -> dict[int, str]:
    """The processes whose working directory is a cluster's folder, orphans of a killed server included: id -> state."""
    states = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "cwd").readlink() == data:
                states[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()[0]
    return states


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _in_time(deadline: float, name: str, left: Sequence[int]) -> None:
    if time.monotonic() > deadline:
        raise StackError(f"{name} could not be stopped (processes {left}), so nothing was promoted")
    time.sleep(POLL_SECONDS)  # while they fork, which processes there are has to be read again

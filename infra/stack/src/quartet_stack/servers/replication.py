"""Create standbys, attach them to their primaries, and wait for them; `promotion.py` makes primaries of them.

`pg_basebackup` creates a standby as a copy of the primary, replacing what was there. When it has caught up, the primary
is told to let each commit wait for it (`synchronous_standby_names`, stored in the primary's own folder). From then on
only `DB_STANDBY=off` and a promotion undo that: if the standby fails, writes wait, and never silently become unsafe.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership import user_files
from quartet_stack.ownership.privileges import run_user
from quartet_stack.processes.programs import SERVICE, Program
from quartet_stack.processes.readiness import HOST, wait_for
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.servers import postgres, sessions, standby
from quartet_stack.servers.sessions import StandbyStatus
from quartet_stack.settings import SERVICES, Settings

Step = Callable[[str, str], None]  # (what, how far)
ATTACH_SECONDS: Final = 15.0  # a standby that does not follow its primary within this time is created again
POLL_SECONDS: Final = 0.1


def set_up(
    settings: Settings, secrets: Mapping[str, str], supervisor: Supervisor, programs: Sequence[Program], step: Step
) -> None:
    """Give each database of `DB_STANDBY` a standby that confirms commits, and let no other database wait for one.

    The primaries must be running. `StackError` if a standby does not follow its primary.
    """
    place, seconds = settings.layout, float(settings["READY_TIMEOUT"])
    settle(settings, secrets, step)
    if missing := [service for service in settings.standbys if not built(place, service)]:
        _apply(supervisor, programs, seconds)  # the running primaries may still have options that admit no standby
        for service in missing:
            step("standby", f"{service}: copying the primary")
            build(settings, secrets, service)
        _apply(supervisor, programs, seconds)
    attach_all(settings, secrets, lambda service: remake(settings, secrets, supervisor, service), step)


def settle(settings: Settings, secrets: Mapping[str, str], step: Step) -> None:
    """Finish interrupted promotions, and let no commit wait for a standby that `DB_STANDBY` no longer names."""
    for service in SERVICES:
        if standby.mark(settings.layout, service).fenced:
            step("standby", f"{service}: finishing an interrupted promotion")
            promote(settings, secrets, service)
        if service not in settings.standbys and standby.mark(settings.layout, service).confirmed:
            release(settings, secrets, service)


def attach_all(settings: Settings, secrets: Mapping[str, str], recreate: Callable[[str], None], step: Step) -> None:
    """Let commits wait for each standby; one that does not follow its primary within 15 s is created again."""
    seconds = float(settings["READY_TIMEOUT"])
    for service in settings.standbys:
        confirmed = standby.mark(settings.layout, service).confirmed
        if confirmed and (current := status(settings, secrets, service)) and current.sync:
            continue
        step("standby", f"{service}: waiting until it has caught up")
        try:
            attach(settings, secrets, service, min(ATTACH_SECONDS, seconds))
        except StackError:
            step("standby", f"{service}: it does not follow its primary, so it is created again")
            recreate(service)
            attach(settings, secrets, service, seconds)
        step("standby", "ready")


def startable(program: Program) -> bool:
    """Whether the program's folder exists; that of a standby does not before the standby is created."""
    return program.directory.is_dir()


def built(place: Layout, service: str) -> bool:
    """Whether the server that is not the primary has a cluster that is a copy of the primary's."""
    return standby.follows(standby.folder(place, service, standby.mark(place, service).other))


def build(settings: Settings, secrets: Mapping[str, str], service: str) -> None:
    """Copy the primary into the folder of the other server, completely or not at all.

    Raises:
        StackError: `pg_basebackup` is missing or failed.
    """
    place, mark = settings.layout, standby.mark(settings.layout, service)
    binary = postgres.binaries(place, lambda text: None) / "pg_basebackup"
    if not binary.exists():
        raise StackError(
            f"a standby needs {binary}, which is missing; install PostgreSQL's client programs, or set DB_STANDBY=off"
        )
    sessions.run(settings, secrets, service, mark.primary, sessions.create_replicator(secrets["replication"]))
    data = standby.folder(place, service, mark.other)
    draft = data.with_name(f"{data.name}.new")
    for folder in (draft, data):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)
    name = f"{service}-{mark.other}"
    user = run_user(name)
    user.own(draft)
    port = standby.port(settings, service, mark.primary)
    source = f"host={HOST} port={port} user={standby.REPLICATOR} application_name={standby.NAME} connect_timeout=5"
    done = subprocess.run(
        [*user.command(), str(binary), "-D", str(draft), "-d", source, "-R", "-X", "stream", "-c", "fast"],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "PGPASSWORD": secrets["replication"]},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        umask=user_files.UMASK,
    )
    if done.returncode:
        raise StackError(
            f"{name} could not be created; the end of pg_basebackup's output: {done.stderr.strip()[-400:]}"
        )
    draft.rename(data)


def remake(settings: Settings, secrets: Mapping[str, str], supervisor: Supervisor, service: str) -> None:
    """Stop the standby, create it again, and start it."""
    name = f"{service}-{standby.mark(settings.layout, service).other}"
    supervisor.stop(name)
    build(settings, secrets, service)
    supervisor.start(name)


def attach(settings: Settings, secrets: Mapping[str, str], service: str, seconds: float) -> None:
    """Wait until the standby has caught up, then let each commit wait for it; `StackError` after `seconds`."""
    place, mark = settings.layout, standby.mark(settings.layout, service)
    _until(settings, secrets, service, lambda current: current.state == "streaming", seconds)
    sessions.run(settings, secrets, service, mark.primary, sessions.wait_for_standby(standby.NAME))
    _until(settings, secrets, service, lambda current: current.sync, seconds)
    # this commit confirms all commits before it
    sessions.run(settings, secrets, service, mark.primary, sessions.commit, seconds=seconds)
    standby.write(place, service, replace(mark, confirmed=True))


def release(settings: Settings, secrets: Mapping[str, str], service: str) -> None:
    """Let commits wait for no standby, because `DB_STANDBY` no longer names this database."""
    mark = standby.mark(settings.layout, service)
    standby.write(settings.layout, service, replace(mark, confirmed=False))
    sessions.run(settings, secrets, service, mark.primary, sessions.wait_for_standby(""))


def promote(settings: Settings, secrets: Mapping[str, str], service: str) -> None:
    """Make the server that is recorded as the primary one; its commits wait for no standby until one is attached."""
    mark = standby.mark(settings.layout, service)
    sessions.run(settings, secrets, service, mark.primary, sessions.promote(service), seconds=40)
    standby.write(settings.layout, service, replace(mark, fenced=False))


def status(settings: Settings, secrets: Mapping[str, str], service: str) -> StandbyStatus | None:
    """What the primary says of its standby; None if no standby is connected."""
    primary = standby.mark(settings.layout, service).primary
    return sessions.run(settings, secrets, service, primary, sessions.standby_status)


def _apply(supervisor: Supervisor, programs: Sequence[Program], seconds: float) -> None:
    """Run the servers and no service: each service is started again once all its servers run.

    Raises:
        StackError: A database is not ready in time.
    """
    servers = [program for program in programs if program.kind != SERVICE and startable(program)]
    supervisor.apply(servers)
    checks = {program.name: program.check for program in servers if program.check.kind == "postgres"}
    if late := wait_for(checks, seconds):
        raise StackError("\n".join(f"{name} is not ready: {problem}" for name, problem in late.items()))


def _until(
    settings: Settings,
    secrets: Mapping[str, str],
    service: str,
    holds: Callable[[StandbyStatus], bool],
    seconds: float,
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        current = status(settings, secrets, service)
        if current is not None and holds(current):
            return
        if time.monotonic() > deadline:
            problem = current or "it is not connected"
            raise StackError(f"the standby of {service} does not follow its primary: {problem}")
        time.sleep(POLL_SECONDS)  # PostgreSQL announces nothing about its standbys

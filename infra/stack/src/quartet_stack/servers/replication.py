"""Standbys are made, attached, waited for and asked; `promotion.py` makes primaries of them.

A standby is made by `pg_basebackup`, whoever was there before. When it has caught up, the primary is told to let each
commit wait for it (`synchronous_standby_names`, kept in the primary's own folder). From then on nothing takes that
back but `DB_STANDBY=off` and a promotion: a standby that dies makes writes wait, and never silently unsafe.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership import user_files
from quartet_stack.ownership.privileges import run_user
from quartet_stack.processes.programs import SERVICE, Program
from quartet_stack.processes.readiness import HOST, wait_for
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.servers import postgres, standby
from quartet_stack.settings import SERVICES, Settings

T = TypeVar("T")
Work = Callable[[Any], Coroutine[Any, Any, T]]  # what is done in a session of the superuser's
Step = Callable[[str, str], None]  # (what, how far)
ANSWER_SECONDS: Final = 5.0
ATTACH_SECONDS: Final = 15.0  # a standby that does not follow its primary after so long is made anew
LOOK_EVERY: Final = 0.1
STANDBYS: Final = (
    "SELECT state, sync_state, pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn)::bigint AS behind, "
    f"extract(epoch FROM replay_lag) AS lag FROM pg_stat_replication WHERE application_name = '{standby.NAME}'"
)


@dataclass(frozen=True)
class Following:
    """What a primary says of its standby: `state` is `streaming` when it follows; `sync` when commits wait for it.

    `behind`: bytes of the log that are not on its disk yet.
    """

    state: str
    sync: bool
    behind: int


def bring(
    settings: Settings, secrets: Mapping[str, str], supervisor: Supervisor, wanted: Sequence[Program], step: Step
) -> None:
    """Give each database that is to have one a standby that confirms commits, and let no other wait for one.

    The primaries run. Raises `StackError` when a standby does not attach itself.
    """
    place, seconds = settings.layout, float(settings["READY_TIMEOUT"])
    settle(settings, secrets, step)
    if missing := [service for service in settings.standbys if not built(place, service)]:
        _apply(supervisor, wanted, seconds)  # the primaries may run yet with options that admit no standby
        for service in missing:
            step("standby", f"{service}: copying the primary")
            build(settings, secrets, service)
        _apply(supervisor, wanted, seconds)
    attach_all(settings, secrets, lambda service: remake(settings, secrets, supervisor, service), step)


def settle(settings: Settings, secrets: Mapping[str, str], step: Step) -> None:
    """Finish promotions that were interrupted, and let no commit wait for a standby that nobody wants any more."""
    for service in SERVICES:
        if standby.mark(settings.layout, service).fenced:
            step("standby", f"{service}: a promotion was interrupted and is finished now")
            promote(settings, secrets, service)
        if service not in settings.standbys and standby.mark(settings.layout, service).confirmed:
            release(settings, secrets, service)


def attach_all(settings: Settings, secrets: Mapping[str, str], made_anew: Callable[[str], None], step: Step) -> None:
    """Let commits wait for each standby; one that does not follow its primary for a while is `made_anew`."""
    seconds = float(settings["READY_TIMEOUT"])
    for service in settings.standbys:
        confirmed = standby.mark(settings.layout, service).confirmed
        if confirmed and (said := following(settings, secrets, service)) and said.sync:
            continue
        step("standby", f"{service}: waiting until it has caught up")
        try:
            attach(settings, secrets, service, min(ATTACH_SECONDS, seconds))
        except StackError:
            step("standby", f"{service}: it does not follow, so it is made anew")
            made_anew(service)
            attach(settings, secrets, service, seconds)
        step("standby", "ready")


def startable(program: Program) -> bool:
    """Whether the program's folder is there; a standby that is to be made has none yet."""
    return program.directory.is_dir()


def built(place: Layout, service: str) -> bool:
    """Whether the server that is not the primary has a cluster, made as a copy of it."""
    return standby.follows(standby.folder(place, service, standby.mark(place, service).other))


def build(settings: Settings, secrets: Mapping[str, str], service: str) -> None:
    """Copy the primary into the folder of the other server, wholly or not at all."""
    place, mark = settings.layout, standby.mark(settings.layout, service)
    binary = postgres.binaries(place, lambda text: None) / "pg_basebackup"
    if not binary.exists():
        raise StackError(
            f"a standby needs {binary}, which is missing; install PostgreSQL's client programs, or DB_STANDBY=off"
        )
    ask(settings, secrets, service, mark.primary, _replicator(secrets["replication"]))
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
        raise StackError(f"{name} could not be made; pg_basebackup said: {done.stderr.strip()[-400:]}")
    draft.rename(data)


def remake(settings: Settings, secrets: Mapping[str, str], supervisor: Supervisor, service: str) -> None:
    """Stop the standby, make it anew, and start it."""
    name = f"{service}-{standby.mark(settings.layout, service).other}"
    supervisor.stop(name)
    build(settings, secrets, service)
    supervisor.start(name)


def attach(settings: Settings, secrets: Mapping[str, str], service: str, seconds: float) -> None:
    """Wait until the standby has caught up, then let each commit wait for it; `StackError` when it does not come."""
    place, mark = settings.layout, standby.mark(settings.layout, service)
    _until(settings, secrets, service, lambda said: said.state == "streaming", seconds)
    ask(settings, secrets, service, mark.primary, _waits_for(standby.NAME))
    _until(settings, secrets, service, lambda said: said.sync, seconds)
    # with it, all that was committed before is confirmed
    ask(settings, secrets, service, mark.primary, _commit, seconds=seconds)
    standby.write(place, service, replace(mark, confirmed=True))


def release(settings: Settings, secrets: Mapping[str, str], service: str) -> None:
    """Let commits wait for nobody: somebody has said that this database is to have no standby."""
    mark = standby.mark(settings.layout, service)
    standby.write(settings.layout, service, replace(mark, confirmed=False))
    ask(settings, secrets, service, mark.primary, _waits_for(""))


def promote(settings: Settings, secrets: Mapping[str, str], service: str) -> None:
    """Make a primary of the server that is written down as the primary; it waits for no standby until one is attached.

    It has then applied all of the log that it has received.
    """
    mark = standby.mark(settings.layout, service)

    async def work(connection: Any) -> None:
        await _waits_for("")(connection)
        if await connection.fetchval("SELECT pg_is_in_recovery() AND NOT pg_promote(true, 30)"):
            raise StackError(f"{service}: the standby did not become a primary within 30 s; see make logs")

    ask(settings, secrets, service, mark.primary, work, seconds=40)
    standby.write(settings.layout, service, replace(mark, fenced=False))


def following(settings: Settings, secrets: Mapping[str, str], service: str) -> Following | None:
    """What the primary says of its standby; None when none follows."""

    async def work(connection: Any) -> Following | None:
        row = await connection.fetchrow(STANDBYS)
        return Following(row["state"], row["sync_state"] == "sync", int(row["behind"] or 0)) if row else None

    return ask(settings, secrets, service, standby.mark(settings.layout, service).primary, work)


def ask(
    settings: Settings,
    secrets: Mapping[str, str],
    service: str,
    server: str,
    work: Work[T],
    seconds: float = ANSWER_SECONDS,
) -> T:
    """Do something in a session of the superuser's with one server; `StackError` when it cannot be had."""
    import asyncpg

    async def connected() -> T:
        async with asyncio.timeout(seconds):
            connection = await asyncpg.connect(
                host=HOST,
                port=standby.port(settings, service, server),
                user="postgres",
                password=secrets["postgres"],
                database="postgres",
                timeout=ANSWER_SECONDS,
            )
            try:
                return await work(connection)
            finally:
                connection.terminate()

    with ThreadPoolExecutor(1) as thread:  # the caller may have a loop of its own
        try:
            return thread.submit(asyncio.run, connected()).result()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StackError(
                f"{service}-{server} does not do what it is told: {type(error).__name__}: {error}"
            ) from None


def _apply(supervisor: Supervisor, wanted: Sequence[Program], seconds: float) -> None:
    """Run what services stand on, and no service: each is started again, with what it needs, when all this is there."""
    ground = [program for program in wanted if program.kind != SERVICE and startable(program)]
    supervisor.apply(ground)
    checks = {program.name: program.check for program in ground if program.check.kind == "postgres"}
    if late := wait_for(checks, seconds):
        raise StackError("\n".join(f"{name} is not ready: {said}" for name, said in late.items()))


def _until(
    settings: Settings,
    secrets: Mapping[str, str],
    service: str,
    holds: Callable[[Following], bool],
    seconds: float,
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        said = following(settings, secrets, service)
        if said is not None and holds(said):
            return
        if time.monotonic() > deadline:
            raise StackError(f"the standby of {service} does not follow its primary: {said or 'it is not connected'}")
        time.sleep(LOOK_EVERY)


def _waits_for(name: str) -> Work[None]:
    async def work(connection: Any) -> None:
        await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        await connection.execute("SELECT pg_reload_conf()")

    return work


async def _commit(connection: Any) -> None:
    """A commit that waits: it is the checkpointer that tells all others to, and by now it has read its settings."""
    await connection.execute("CHECKPOINT")
    await connection.execute("SELECT pg_logical_emit_message(true, 'standby', '')")


def _replicator(password: str) -> Work[None]:
    """The role, with its password; the rules about who may connect are read again too."""

    async def work(connection: Any) -> None:
        await connection.execute("SET synchronous_commit = local")  # nobody can confirm it yet
        found = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", standby.REPLICATOR)
        verb = "ALTER" if found else "CREATE"
        await connection.execute(f"{verb} ROLE {standby.REPLICATOR} LOGIN REPLICATION PASSWORD '{password}'")
        await connection.execute("SELECT pg_reload_conf()")

    return work

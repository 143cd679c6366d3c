"""Which of a database's two servers is the primary: the stack records it in a file, and only a promotion changes it.

A database with a standby has two equal servers: `order-db` and `order-standby`, each with a port, a folder and a user
of its own. At first `db` is the primary. A promotion records that the other server is; from then on nobody may start
the cluster in the first server's folder until it was recreated as a copy of the primary. A copy has `standby.signal`,
and a server that finds this file only follows its primary.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from quartet_stack import saved
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership.privileges import run_user
from quartet_stack.processes.programs import Program
from quartet_stack.processes.readiness import HOST
from quartet_stack.secrets_store import write_private
from quartet_stack.servers import postgres
from quartet_stack.settings import Settings

SERVERS = ("db", "standby")
SIGNAL = "standby.signal"  # of PostgreSQL: a server with this file in its folder follows another
HBA = "quartet_hba.conf"
REPLICATOR = "replicator"
AUDITOR = "auditor"
NAME = "quartet_standby"  # the application name of the standby, for which commits on the primary wait
# Nothing reads from a standby, so a commit waits until it is on its disk (`synchronous_commit = on`), not until applied
OPTIONS = {
    "max_wal_senders": "4",
    "wal_keep_size": "128MB",  # a standby that is further behind is created again
    "wal_sender_timeout": "10s",
    "wal_receiver_timeout": "10s",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "500ms",
    "hot_standby": "on",
}
# Only one role may replicate, only from this machine, and it may do nothing else
HBA_LINES = (
    f"host replication {REPLICATOR} {HOST}/32 scram-sha-256",
    f"host all {REPLICATOR} {HOST}/32 reject",
    "host replication all all reject",
    f"host all all {HOST}/32 scram-sha-256",
)


@dataclass(frozen=True)
class Mark:
    """The recorded state of one database: which server is the `primary`.

    `confirmed`: each commit waits for the other server. Only then may that one be promoted, because it has every
    answered commit. `fenced`: a promotion is under way; the other server's cluster was a primary, and nobody may start
    it.
    """

    primary: str = "db"
    confirmed: bool = False
    fenced: bool = False

    @property
    def other(self) -> str:
        """The server that is not the primary."""
        return SERVERS[1 - SERVERS.index(self.primary)]


def mark(place: Layout, service: str) -> Mark:
    """The recorded state of a service's database."""
    return _marks(place).get(service, Mark())


def write(place: Layout, service: str, changed: Mark) -> None:
    """Record the state of a service's database; it is on the disk when this returns."""
    marks = {**_marks(place), service: changed}
    text = json.dumps({name: asdict(mark) for name, mark in marks.items()}, indent=1)
    write_private(place.standbys.parent, place.standbys.name, text)
    for path, flags in ((place.standbys, os.O_RDONLY), (place.standbys.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(path, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _marks(place: Layout) -> dict[str, Mark]:
    try:
        content = place.standbys.read_bytes()
    except FileNotFoundError:
        return {}
    entries = saved.parsed(content, place.standbys, saved.KEEP_DATA)
    return {name: Mark(**entry) for name, entry in entries.items()}


def port(settings: Settings, service: str, server: str) -> int:
    """The port of a server, such as that of `ORDER_STANDBY_PORT`."""
    return settings.port(f"{service}_{server}_port".upper())


def folder(place: Layout, service: str, server: str) -> Path:
    """The data folder of a server."""
    return postgres.data_folder(place, service, server)


def follows(data: Path) -> bool:
    """Whether a cluster is that of a standby."""
    return os.path.lexists(data / SIGNAL)


def check(place: Layout, service: str) -> None:
    """Compare the folders of a database with its recorded state; where they contradict each other, touch nothing.

    Raises:
        StackError: The primary is gone, or the folders do not match the recorded roles.
    """
    known = mark(place, service)
    primary, other = folder(place, service, known.primary), folder(place, service, known.other)
    if not primary.is_dir() and (other.is_dir() or known != Mark()):
        raise StackError(f"{primary}, the primary of {service}, is gone; restore it, or delete all data: make clean")
    if known.fenced:
        return
    if follows(primary) or (other.is_dir() and not follows(other)):
        raise StackError(
            f"{place.standbys} says that {primary} is the primary of {service}, but the folders do not match that; "
            "correct the file, or delete all data: make clean"
        )


def admit(settings: Settings, service: str) -> None:
    """Write the rules about who may connect into the primary's folder."""
    if service in settings.standbys:
        primary = mark(settings.layout, service).primary
        user = run_user(f"{service}-{primary}")
        user.write(folder(settings.layout, service, primary), HBA, "".join(f"{line}\n" for line in HBA_LINES))


def database_url(
    settings: Settings, secrets: Mapping[str, str], service: str, proxy: int | None = None, *, reads: bool = False
) -> str:
    """The URL of a service's database; with a standby, it names both servers and asks for the one that accepts writes.

    `proxy`: the port at which the server `db` is reached, if that is not its own; `reads`: as the auditor's role, which
    may only read.
    """
    name = postgres.role(service)
    login = f"{AUDITOR}:{secrets[AUDITOR]}" if reads else f"{name}:{secrets[service]}"
    ports = {server: port(settings, service, server) for server in SERVERS}
    if proxy is not None:
        ports["db"] = proxy
    if service not in settings.standbys:
        return postgres.database_url(service, login, ports[mark(settings.layout, service).primary])
    both = ",".join(map(str, ports.values()))
    return f"postgresql+asyncpg://{login}@/{name}?host={HOST},{HOST}&port={both}&target_session_attrs=read-write"


def programs(settings: Settings, binaries: Path, service: str) -> list[Program]:
    """The servers of a service: its primary, and its standby if it has one."""
    place = settings.layout
    primary = mark(place, service).primary
    servers = SERVERS if service in settings.standbys else (primary,)
    return [
        postgres.program(
            place, binaries, service, port(settings, service, server), server, _options(settings, service, server)
        )
        for server in servers
    ]


def _options(settings: Settings, service: str, server: str) -> dict[str, str]:
    if service not in settings.standbys:
        return {}
    return {**OPTIONS, "hba_file": str(folder(settings.layout, service, server) / HBA)}

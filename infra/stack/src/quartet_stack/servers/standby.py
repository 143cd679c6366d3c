"""Which of a database's two servers is the primary, as the stack wrote it down: a promotion is its act, and stays.

A database with a standby has two servers that are alike: `order-db` and `order-standby`, each with a port, a folder
and a user of its own. At first the one called `db` is the primary. A promotion writes down that it is the other one;
from then on the first one's folder is not a cluster that anybody may start, unless it was made anew as a copy of the
primary: then it holds `standby.signal`, and the server that finds it only follows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership.privileges import run_user
from quartet_stack.processes.programs import Program
from quartet_stack.processes.readiness import HOST
from quartet_stack.secrets_store import write_private
from quartet_stack.servers import postgres
from quartet_stack.settings import Settings

SERVERS = ("db", "standby")
SIGNAL = "standby.signal"  # PostgreSQL's own: a server with this file in its folder follows another
HBA = "quartet_hba.conf"
REPLICATOR = "replicator"
NAME = "quartet_standby"  # what the standby calls itself, and the primary waits for
# Nobody reads a standby, so a commit waits until it is on its disk (`synchronous_commit = on`), not until it is applied
OPTIONS = {
    "max_wal_senders": "4",
    "wal_keep_size": "128MB",  # what a standby may be behind; then it is made anew
    "wal_sender_timeout": "10s",
    "wal_receiver_timeout": "10s",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "500ms",
    "hot_standby": "on",
}
# The one role that may replicate can do nothing else, and only from this machine
HBA_LINES = (
    f"host replication {REPLICATOR} {HOST}/32 scram-sha-256",
    f"host all {REPLICATOR} {HOST}/32 reject",
    "host replication all all reject",
    f"host all all {HOST}/32 scram-sha-256",
)


@dataclass(frozen=True)
class Mark:
    """Of one database: which server is the `primary`, and whether each commit waits for the other one (`confirmed`).

    Only then may the other one be promoted: what was answered is in it. `fenced`: a promotion is under way, and the
    other server's cluster was a primary before; nobody starts it again.
    """

    primary: str = "db"
    confirmed: bool = False
    fenced: bool = False

    @property
    def other(self) -> str:
        """The server that is not the primary."""
        return SERVERS[1 - SERVERS.index(self.primary)]


def mark(place: Layout, service: str) -> Mark:
    """What is written down about a service's database."""
    return _marks(place).get(service, Mark())


def write(place: Layout, service: str, changed: Mark) -> None:
    """Write it down; it is on the disk when this returns."""
    marks = {**_marks(place), service: changed}
    text = json.dumps({name: asdict(one) for name, one in marks.items()}, indent=1)
    write_private(place.standbys.parent, place.standbys.name, text)
    for path, flags in ((place.standbys, os.O_RDONLY), (place.standbys.parent, os.O_RDONLY | os.O_DIRECTORY)):
        held = os.open(path, flags)
        try:
            os.fsync(held)
        finally:
            os.close(held)


def _marks(place: Layout) -> dict[str, Mark]:
    try:
        found = json.loads(place.standbys.read_text())
    except FileNotFoundError:
        return {}
    return {name: Mark(**one) for name, one in found.items()}


def port(settings: Settings, service: str, server: str) -> int:
    """The port of a server, as `ORDER_STANDBY_PORT` says."""
    return settings.port(f"{service}_{server}_port".upper())


def folder(place: Layout, service: str, server: str) -> Path:
    """The data of a server."""
    return postgres.data_folder(place, service, server)


def follows(data: Path) -> bool:
    """Whether a cluster is a standby's."""
    return os.path.lexists(data / SIGNAL)


def check(place: Layout, service: str) -> None:
    """Raise `StackError` when the folders and what is written down do not go together: then nothing is touched."""
    known = mark(place, service)
    primary, other = folder(place, service, known.primary), folder(place, service, known.other)
    if not primary.is_dir() and (other.is_dir() or known != Mark()):
        raise StackError(f"{primary}, the primary of {service}, is gone; put it back, or delete all data: make clean")
    if known.fenced:
        return
    if follows(primary) or (other.is_dir() and not follows(other)):
        raise StackError(
            f"{place.standbys} says that {primary} is the primary of {service}, and the folders do not; "
            "put the file right, or delete all data: make clean"
        )


def admit(settings: Settings, service: str) -> None:
    """Write down in the primary's folder who may connect."""
    if service in settings.standbys:
        primary = mark(settings.layout, service).primary
        user = run_user(f"{service}-{primary}")
        user.write(folder(settings.layout, service, primary), HBA, "".join(f"{line}\n" for line in HBA_LINES))


def database_url(settings: Settings, secrets: Mapping[str, str], service: str, proxy: int | None = None) -> str:
    """What SQLAlchemy and asyncpg want to know: with a standby both servers, of which only a primary is taken.

    `proxy`: the port under which the server `db` is reached, if not under its own.
    """
    found = {server: port(settings, service, server) for server in SERVERS}
    if proxy is not None:
        found["db"] = proxy
    if service not in settings.standbys:
        return postgres.database_url(service, secrets[service], found[mark(settings.layout, service).primary])
    ports = ",".join(map(str, found.values()))
    name = postgres.role(service)
    login = f"{name}:{secrets[service]}"
    return f"postgresql+asyncpg://{login}@/{name}?host={HOST},{HOST}&port={ports}&target_session_attrs=read-write"


def programs(settings: Settings, binaries: Path, service: str) -> list[Program]:
    """The servers of a service: the primary, and the standby if it has one."""
    place = settings.layout
    primary = mark(place, service).primary
    wanted = SERVERS if service in settings.standbys else (primary,)
    return [
        postgres.program(
            place, binaries, service, port(settings, service, server), server, _options(settings, service, server)
        )
        for server in wanted
    ]


def _options(settings: Settings, service: str, server: str) -> dict[str, str]:
    if service not in settings.standbys:
        return {}
    return {**OPTIONS, "hba_file": str(folder(settings.layout, service, server) / HBA)}

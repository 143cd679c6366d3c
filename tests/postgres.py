"""A throw-away PostgreSQL server for tests: prepared as `make up` prepares one, on a port of its own.

Import the fixtures into a folder's `conftest.py`; all folders share one server. A test gets a database of its own,
copied from one that the service's migrations and seed have filled.
"""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership import folders
from quartet_stack.processes.daemon import runs
from quartet_stack.processes.polling import until
from quartet_stack.processes.programs import write_scripts
from quartet_stack.secrets_store import load_or_create
from quartet_stack.servers import postgres as native
from quartet_stack.settings import SERVICES
from sagakit.app.host import ServiceDefinition, folder_of
from sagakit.postgres import migrations
from sagakit.settings import Settings
from tests.keys import PUBLIC_KEY
from tests.modes.servers import free_ports
from tests.suite.choice import chosen

START_SECONDS = 30
MEMORY = Path("/dev/shm")  # noqa: S108
ROOM = 2 * 1024**3  # bytes; each database of a test has 8 MB, and up to 1 GB is the log
# A program ends with the thread that started it; and a loop of its own does not interfere with the tests'.
_helper = ThreadPoolExecutor(1, "postgres")


def definition(service: str) -> ServiceDefinition:
    service_definition: ServiceDefinition = import_module(f"{service}_service.main").DEFINITION
    return service_definition


class Server:
    """One server for all services. It can be killed, frozen and started again; its address stays the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        layout = Layout(folder)
        folders.prepare(layout, print)
        binaries = native.binaries(layout, print)
        self._secrets = load_or_create(layout, SERVICES)
        native.create(layout, binaries, "order", self._secrets)
        self.port = free_ports(1)[0]
        program = native.program(layout, binaries, "order", self.port)
        # without a WAL sender no commit waits for a standby, even if one is configured
        more = ("-c", "fsync=off", "-c", "max_wal_senders=1")
        program = replace(program, command=(*program.command, *more))
        write_scripts(layout, [program])
        self._layout = layout
        self._command = [str(layout.scripts / program.name)]
        self._log = folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.databases: list[str] = []  # created for tests, and not dropped

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        if self._process is None or self._process.poll() is not None:
            self._process = _helper.submit(self._spawn).result()
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self._run(self._execute("SELECT 1"))
                return
            except (OSError, asyncpg.PostgresError):
                if time.monotonic() > end or self._process.poll() is not None:
                    raise StackError(self._log.read_text(errors="replace")[-2000:]) from None
                time.sleep(0.05)

    def kill(self) -> None:
        """Kill all of its processes at once, as when the machine dies; returns when none is left.

        It is frozen first: a process that it forked meanwhile would live on for a moment, and until its end the server
        does not start again.
        """
        assert self._process is not None
        if self._process.poll() is None:
            server = psutil.Process(self._process.pid)
            server.suspend()
            workers = server.children()
            self.signal(signal.SIGKILL)
            ended = until(lambda: not any(runs(one.pid) for one in workers), START_SECONDS, 0.005)
            assert ended, f"{workers} do not end"
        self._process.wait(10)

    def signal(self, number: int) -> None:
        """Send a signal to every process of the server."""
        if self._process is not None and self._process.poll() is None:
            server = psutil.Process(self._process.pid)
            for process in (server, *server.children()):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    def stop(self) -> None:
        """Kill the server, and delete its files."""
        self.signal(signal.SIGCONT)
        self.kill()
        folders.delete(self._layout)

    def log(self) -> str:
        """The whole log of the server."""
        return self._log.read_text(errors="replace")

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres:{self._secrets['postgres']}@127.0.0.1:{self.port}/{database}"

    def database(self, service: str) -> str:
        """Create a database with the service's tables and seed; returns its URL."""
        return self.copy(self._template(service), service)

    def copy(self, template: str, prefix: str) -> str:
        """Create a database like the template, to which nobody may be connected; returns its URL."""
        name = self._named(prefix)
        # the default strategy writes the copy into the log as well, and takes twice as long
        self._run(self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
        return self.url(name)

    def empty(self) -> str:
        name = self._named("empty")
        self._run(self._execute(f"CREATE DATABASE {name}"))
        return self.url(name)

    def drop(self, names: Sequence[str]) -> None:
        """Drop databases, whoever is connected."""
        for name in names:
            self._run(self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            self.databases.remove(name)

    def _named(self, prefix: str) -> str:
        self.databases.append(f"{prefix}_{next(self._numbers)}")
        return self.databases[-1]

    def query(self, url: str, statement: str) -> list[Any]:
        """Run a statement, without the code under test; returns the rows."""
        rows: list[Any] = self._run(self._execute(statement, url.rsplit("/", 1)[1]))
        return rows

    @cache  # noqa: B019
    def _template(self, service: str) -> str:
        name = f"template_{service}"
        self._run(self._execute(f"CREATE DATABASE {name}"))
        self.migrate(service, self.url(name))
        return name

    def migrate(self, service: str, url: str) -> None:
        settings = Settings(token_public_keys=PUBLIC_KEY, service=service, database_url=url)
        that = definition(service)
        _helper.submit(migrations.upgrade, folder_of(that), settings.database_url, that.seed).result()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return _helper.submit(asyncio.run, work).result()

    async def _execute(self, statement: str, database: str = "postgres") -> list[Any]:
        url = self.url(database).replace("+asyncpg", "")
        connection = await asyncpg.connect(url, timeout=5)
        try:
            rows: list[Any] = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )


def _in_memory() -> Path | None:
    """A file system in memory, if it has room and programs may run on it; to create a database on a disk is slower."""
    if not MEMORY.is_dir() or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free > ROOM else None


@cache
def _shared() -> tuple[Server, Path]:
    folder = Path(tempfile.mkdtemp(prefix="quartet-postgres-", dir=_in_memory()))
    folder.chmod(0o755)
    return Server(folder), folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    assert chosen().allows_servers(), "FAST=1 starts no servers"
    server, folder = _shared()
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: Server) -> Iterator[Server]:
    """The running server; it is started again after a test that stopped it, and the test's databases are dropped."""
    before = len(postgres_server.databases)
    yield postgres_server
    postgres_server.signal(signal.SIGCONT)
    postgres_server.start()
    postgres_server.drop(postgres_server.databases[before:])


@pytest.fixture
def database(postgres: Server) -> Callable[[str], str]:
    """A function that creates a database for a service, by name, and returns its URL."""
    return postgres.database

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
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership import folders
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
# A program dies with the thread that started it; and a loop of its own leaves the tests' alone.
_helper = ThreadPoolExecutor(1, "postgres")


def definition(service: str) -> ServiceDefinition:
    found: ServiceDefinition = import_module(f"{service}_service.main").DEFINITION
    return found


class Server:
    """One cluster for all services. It can be killed, frozen and started again; its address stays the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        layout = Layout(folder)
        folders.prepare(layout, print)
        binaries = native.binaries(layout, print)
        self._secrets = load_or_create(layout, SERVICES)
        native.create(layout, binaries, "order", self._secrets)
        self.port = free_ports(1)[0]
        program = native.program(layout, binaries, "order", self.port)
        # without a sender of the log no commit waits for a standby, not even for one that is named
        more = ("-c", "fsync=off", "-c", "max_wal_senders=1")
        program = replace(program, command=(*program.command, *more))
        write_scripts(layout, [program])
        self._layout = layout
        self._command = [str(layout.scripts / program.name)]
        self._log = folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Return when it takes connections."""
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
        """All of it at once, as when the machine dies."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)

    def signal(self, number: int) -> None:
        """SIGSTOP and SIGCONT reach every process of the server."""
        if self._process is not None and self._process.poll() is None:
            for pid in (self._process.pid, *_children(self._process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def stop(self) -> None:
        """The end of the server and of its files."""
        self.signal(signal.SIGCONT)
        self.kill()
        folders.delete(self._layout)

    def log(self) -> str:
        """All that the server has said."""
        return self._log.read_text(errors="replace")

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres:{self._secrets['postgres']}@127.0.0.1:{self.port}/{database}"

    def database(self, service: str) -> str:
        """The URL of a new database with the service's tables and seed."""
        name = f"{service}_{next(self._numbers)}"
        self._run(self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template(service)}"))
        return self.url(name)

    def empty(self) -> str:
        name = f"empty_{next(self._numbers)}"
        self._run(self._execute(f"CREATE DATABASE {name}"))
        return self.url(name)

    def query(self, url: str, statement: str) -> list[Any]:
        """Rows of a statement, from outside of the code under test."""
        found: list[Any] = self._run(self._execute(statement, url.rsplit("/", 1)[1]))
        return found

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
            found: list[Any] = await connection.fetch(statement)
            return found
        finally:
            await connection.close()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )


def _children(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@cache
def _shared() -> tuple[Server, Path]:
    folder = Path(tempfile.mkdtemp(prefix="quartet-postgres-"))
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
    """The server, running; it is running again afterwards, whatever a test did to it."""
    yield postgres_server
    postgres_server.signal(signal.SIGCONT)
    postgres_server.start()


@pytest.fixture
def database(postgres: Server) -> Callable[[str], str]:
    """Makes databases: the name of a service in, a URL out."""
    return postgres.database

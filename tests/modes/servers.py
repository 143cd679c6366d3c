"""Real brokers for tests, one process each, prepared as `make up` prepares them, on ports of their own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from random import SystemRandom

import pytest

from quartet_stack.errors import StackError
from quartet_stack.ownership import folders
from quartet_stack.processes.programs import STOP_SECONDS, write_scripts
from quartet_stack.processes.readiness import HOST, wait_for
from quartet_stack.secrets_store import load_or_create
from quartet_stack.settings import SERVICES, resolve
from tests.suite.choice import chosen

START_SECONDS = 60
# module of quartet_stack.servers that prepares it -> the ports that it needs, the first of which clients talk to
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "kafka": ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT"),
    "sns_sqs": ("AWS_PORT",),
    "pubsub": ("PUBSUB_PORT",),
    "temporal": ("TEMPORAL_PORT",),
}
# A program dies with the thread that started it; this thread lives as long as the tests.
_starter = ThreadPoolExecutor(1, "starter")


class ProcessServer:
    """A broker as a process. `address` is host:port and stays the same across restarts."""

    def __init__(self, component: str, folder: Path) -> None:
        ports = dict(zip(COMPONENTS[component], free_ports(len(COMPONENTS[component])), strict=True))
        environ = {name: str(port) for name, port in ports.items()}
        settings = resolve({**environ, "STACK_DIR": str(folder), "TEMPORAL_UI": "off"})
        layout = self.layout = settings.layout
        folders.prepare(layout, print)
        load_or_create(layout, SERVICES)
        prepare = import_module(f"quartet_stack.servers.{component}").prepare
        self._program = prepare(settings, lambda line: print(f"{component}: {line}"))
        write_scripts(layout, [self._program])
        self.folder = folder
        self._script = layout.scripts / self._program.name
        self._log = folder / "output.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = ports[COMPONENTS[component][0]]
        self.address = f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._process = _starter.submit(self._spawn).result()
        late = wait_for({self._program.name: self._program.check}, START_SECONDS, self._died)
        if late:
            raise StackError(f"{late}\n{self._log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        assert self._process is not None
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)

    def wait(self, seconds: float) -> int:
        """The status with which it ends by itself; TimeoutExpired if it does not."""
        assert self._process is not None
        return self._process.wait(seconds)

    def freeze(self) -> None:
        """Stop the process with SIGSTOP; returns when its last thread has stopped.

        One thread receives the signal for all. On a busy machine it waits for its turn, and the others still answer.
        """
        self._signal(signal.SIGSTOP)
        deadline = time.monotonic() + STOP_SECONDS
        while running_threads := self._threads() - self._threads("Tt"):
            assert time.monotonic() < deadline, f"{len(running_threads)} threads are not stopped"
            time.sleep(0.005)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [str(self._script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )

    def _died(self, waiting: object) -> str:
        assert self._process is not None
        return "" if self._process.poll() is None else "it ended"

    def _threads(self, states: str = "") -> set[Path]:
        """The threads of the process group; those in one of these states of proc(5), if any are given."""
        assert self._process is not None
        threads = set[Path]()
        for stat in Path("/proc").glob("[0-9]*/task/*/stat"):
            with suppress(OSError):
                state, _, group, *_ = stat.read_text().rpartition(")")[2].split()
                if int(group) == self._process.pid and state in (states or state) and state not in "ZX":
                    threads.add(stat)
        return threads

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)


@contextmanager
def running(component: str) -> Iterator[ProcessServer]:
    """One of COMPONENTS, started, with its data in a temporary folder.

    Where it cannot be started the tests are skipped with the reason; in CI (variable CI) they fail.
    """
    assert chosen().allows_servers(), f"FAST=1 starts no servers: mark what uses {component} with `carrier`"
    folder = Path(tempfile.mkdtemp(prefix=f"quartet-{component}-"))
    folder.chmod(0o755)
    try:
        server = ProcessServer(component, folder)
        server.start()
    except StackError as error:
        shutil.rmtree(folder, ignore_errors=True)
        missing = f"MISSING, so nothing of it was tested: {component}: {error}"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    try:
        yield server
    finally:
        server.kill()
        folders.delete(server.layout)
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(how_many: int) -> list[int]:
    """Ports that nothing listens on, below the range of outgoing connections, so that they stay free."""
    ports = list[int]()
    while len(ports) < how_many:
        port = SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            if port not in ports and probe.connect_ex((HOST, port)):
                ports.append(port)
    return ports

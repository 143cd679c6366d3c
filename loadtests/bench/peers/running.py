"""A peer's processes: started, ready, loaded, and ended with all their children."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final

from loadtests.bench.peers.driver import PATIENCE, READY
from loadtests.bench.peers.servers import HOST, Process
from loadtests.bench.record import LATE
from loadtests.bench.sights import Sight
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY
from quartet_stack.processes.polling import until

BEGIN: Final = 60.0
"""Seconds that a process has to become ready."""


class Running:
    """Processes of a peer; `order` has to be the last that is started, and takes loads."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._open = ExitStack()
        self.pids: dict[str, int] = {}
        self._order: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Running":
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def start(self, name: str, process: Process, says_ready: bool = False) -> None:
        """Start a process, and wait until it listens on its port, or says that it is ready.

        Raises:
            StackError: It ended, or is not ready in time.
        """
        log = self._open.enter_context((self._folder / f"{name}.log").open("w"))
        started = subprocess.Popen(
            process.command,
            stdin=subprocess.PIPE if name == "order" else subprocess.DEVNULL,
            stdout=subprocess.PIPE if says_ready else log,
            stderr=log,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, **self._environment, **process.environment},
            start_new_session=True,
        )
        self._open.callback(_ended, started)
        self.pids[name] = started.pid
        if name == "order":
            self._order = started
        if says_ready:
            self._line(name, started, READY)
        if process.port is not None:
            self._listening(name, started, process.port)

    def load(self, rate: float, seconds: float, seed: int) -> list[Sight]:
        """Have orders placed; returns what became of each."""
        order = self._order
        assert order is not None
        assert order.stdin is not None
        order.stdin.write(f"{rate} {seconds} {seed}\n")
        order.stdin.flush()
        answer = self._line("order", order, "[")
        return [Sight(at, end, ms if end == "completed" else LATE) for at, end, ms in json.loads(answer)]

    def _line(self, name: str, process: subprocess.Popen[str], begins: str) -> str:
        """The next line of its standard output that begins so: a library may write others there.

        Raises:
            StackError: It ended before.
        """
        output: IO[str] | None = process.stdout
        assert output is not None
        for line in output:
            if line.startswith(begins):
                return line
        raise StackError(f"{name} ended; see {self._folder / f'{name}.log'}")

    def _listening(self, name: str, process: subprocess.Popen[str], port: int) -> None:
        until(lambda: process.poll() is not None or _open(port), BEGIN, every=0.1)
        if process.poll() is not None or not _open(port):
            raise StackError(f"{name} is not ready; see {self._folder / f'{name}.log'}")


def _open(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _ended(process: subprocess.Popen[str]) -> None:
    """End a process with all its children: asked first, and killed if they take too long."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(PATIENCE / 3)
            break
        except subprocess.TimeoutExpired:
            continue
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # children that outlived it
    for file in (process.stdin, process.stdout):
        if file is not None:
            with suppress(OSError):
                file.close()

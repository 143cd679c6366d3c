"""Our side of supervisord: start it, tell it what should run, ask what does."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership.user_files import UMASK
from quartet_stack.processes.programs import STOP_SECONDS, Program, configuration, write_scripts
from quartet_stack.secrets_store import write_private

BAD_NAME = 10
NOT_RUNNING = 70
RUNNING = ("STARTING", "RUNNING")


@dataclass(frozen=True)
class Process:
    """One process as supervisord sees it; `pid` 0 when it does not run."""

    name: str
    program: str
    state: str
    pid: int
    started: int


class Supervisor:
    """A running (or absent) supervisord of one stack."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._server: Any = xmlrpc.client.ServerProxy(
            "http://supervisor", transport=_UnixTransport(str(layout.supervisor_socket))
        ).supervisor

    def alive(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._server.getState()["statename"] == "RUNNING")
        except (OSError, http.client.HTTPException):
            return False

    def pid(self) -> int:
        """Its own process id."""
        return int(self._server.getPID())

    def processes(self) -> list[Process]:
        """All processes, running or not; empty when supervisord is not running."""
        try:
            found = self._server.getAllProcessInfo()
        except (OSError, http.client.HTTPException):
            return []
        return [
            Process(entry["name"], entry["group"], entry["statename"], int(entry["pid"]), int(entry["start"]))
            for entry in found
        ]

    def apply(self, programs: Sequence[Program]) -> list[str]:
        """Make exactly these programs run; returns the names of those that were started or restarted.

        What runs unchanged is left alone; what is gone or differs is stopped gracefully, all at once.
        """
        digests = write_scripts(self.layout, programs)
        text = configuration(self.layout, programs, digests)
        write_private(self.layout.run, "supervisord.conf", text)
        if not self.alive():
            self._start()
            return [program.name for program in programs]
        added, changed, removed = self._server.reloadConfig()[0]
        for name in added:
            self._server.addProcessGroup(name)
        self._remove([*removed, *changed])
        for name in changed:
            self._server.addProcessGroup(name)
        return [*added, *changed]

    def restart(self, name: str) -> None:
        """Stop a program, or one replica of it, gracefully and start it again; KeyError when there is none."""
        self.stop(name)
        self.start(name)

    def stop(self, name: str) -> None:
        """Stop a program gracefully and keep it stopped."""
        if replica := self._replica(name):
            _call(name, self._server.stopProcess, replica, True)
        else:
            _call(name, self._server.stopProcessGroup, name, True)

    def start(self, name: str) -> None:
        """Start a stopped program, without waiting for it to be ready."""
        if replica := self._replica(name):
            _call(name, self._server.startProcess, replica, False)
        else:
            _call(name, self._server.startProcessGroup, name, False)

    def _replica(self, name: str) -> str | None:
        """supervisord's name for one replica of several; None for the name of a whole program."""
        found = [one for one in self.processes() if one.name == name != one.program]
        return f"{found[0].program}:{name}" if found else None

    def stop_groups(self, names: Iterable[str]) -> None:
        """Stop these programs gracefully at the same time, and forget them."""
        self._remove(list(names))

    def shut_down(self) -> None:
        """Stop supervisord with whatever still runs under it, and wait until it is gone."""
        if not self.alive():
            return
        pid = self.pid()
        self._server.shutdown()
        deadline = time.monotonic() + STOP_SECONDS * 2
        while _exists(pid) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _remove(self, names: list[str]) -> None:
        pending = set(names)
        deadline = time.monotonic() + STOP_SECONDS + 10
        while pending:
            states = {(process.program, process.state) for process in self.processes()}
            for name in sorted(pending):
                if any((name, state) in states for state in (*RUNNING, "BACKOFF")):
                    self._server.stopProcessGroup(name, False)
                    continue
                try:
                    self._server.removeProcessGroup(name)
                except xmlrpc.client.Fault as fault:
                    if fault.faultCode != BAD_NAME:
                        continue  # still stopping
                pending.discard(name)
            if time.monotonic() > deadline:
                raise StackError(f"these programs do not stop: {', '.join(sorted(pending))}; see make logs")
            time.sleep(0.05 if pending else 0)

    def _start(self) -> None:
        environment = {
            "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
            "HOME": str(self.layout.run),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }
        command = [
            sys.executable,
            "-m",
            "quartet_stack.processes.supervisord",
            "-c",
            str(self.layout.run / "supervisord.conf"),
        ]
        done = subprocess.run(
            command,
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            umask=UMASK,
        )
        deadline = time.monotonic() + 10
        while done.returncode == 0 and time.monotonic() < deadline:
            if self.alive():
                return
            time.sleep(0.05)
        raise StackError(f"supervisord did not start: {done.stderr.strip() or done.stdout.strip() or 'no answer'}")


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = host, connection
        return connection

    def request(self, *arguments: Any, **options: Any) -> Any:
        """One connection per request, closed with it."""
        try:
            return super().request(*arguments, **options)
        finally:
            self.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=STOP_SECONDS * 2)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _call(name: str, method: Any, *arguments: object) -> None:
    try:
        method(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == BAD_NAME:
            raise KeyError(name) from None
        if fault.faultCode != NOT_RUNNING:
            raise


def _exists(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"

"""A client of supervisord: start it, tell it which programs to run, ask which ones do."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership.user_files import UMASK
from quartet_stack.processes.daemon import CONFIGURATION, runs
from quartet_stack.processes.polling import until
from quartet_stack.processes.programs import STOP_SECONDS, Program, configuration, sections, write_scripts
from quartet_stack.secrets_store import write_private

BAD_NAME = 10  # these two are faults of supervisord's interface
NOT_RUNNING = 70
ANSWER_SECONDS = STOP_SECONDS * 2
RUNNING = ("STARTING", "RUNNING")


@dataclass(frozen=True)
class Process:
    """One process as supervisord sees it; `pid` is 0 if it does not run, `started` is in seconds since 1970."""

    name: str
    program: str
    state: str
    pid: int
    started: int


class Supervisor:
    """The supervisord of one stack, whether it runs or not."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._server: Any = xmlrpc.client.ServerProxy(
            "http://supervisor", transport=_Transport(layout.supervisor_socket)
        ).supervisor

    def alive(self) -> bool:
        """Whether supervisord answers."""
        try:
            return bool(self._server.getState()["statename"] == "RUNNING")
        except (OSError, http.client.HTTPException):
            return False

    def pid(self) -> int:
        """The process id of supervisord."""
        return int(self._server.getPID())

    def processes(self) -> list[Process]:
        """All processes, running or not; empty if supervisord does not run."""
        try:
            entries = self._server.getAllProcessInfo()
        except (OSError, http.client.HTTPException):
            return []
        return [
            Process(entry["name"], entry["group"], entry["statename"], int(entry["pid"]), int(entry["start"]))
            for entry in entries
        ]

    def apply(self, programs: Sequence[Program]) -> list[str]:
        """Make exactly these programs run.

        Programs that already run as described are left alone; all others are stopped gracefully at the same time.

        Returns:
            The names of the programs that were started or restarted.
        """
        digests = write_scripts(self.layout, programs)
        text = configuration(self.layout, programs, digests)
        write_private(self.layout.run, CONFIGURATION, text)
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

    def add(self, programs: Sequence[Program]) -> bool:
        """Start these programs beside the others, which are left alone; False if any of them is known already."""
        known = {process.program for process in self.processes()}
        if not self.alive() or known.intersection(program.name for program in programs):
            return False
        digests = write_scripts(self.layout, programs, keep_others=True)
        path = self.layout.run / CONFIGURATION
        text = "\n".join([path.read_text(), *sections(self.layout, programs, digests)])
        write_private(self.layout.run, path.name, text)
        for name in self._server.reloadConfig()[0][0]:
            self._server.addProcessGroup(name)
        return True

    def restart(self, name: str) -> None:
        """Stop a program, or one of its replicas, gracefully and start it again; KeyError if there is none."""
        self.stop(name)
        self.start(name)

    def stop(self, name: str) -> None:
        """Stop a program gracefully; it stays stopped until `start`."""
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
        """The name that supervisord uses for one replica of several; None if `name` is that of a whole program."""
        replicas = [process for process in self.processes() if process.name == name != process.program]
        return f"{replicas[0].program}:{name}" if replicas else None

    def stop_groups(self, names: Iterable[str]) -> None:
        """Stop these programs gracefully at the same time, and remove them from supervisord."""
        self._remove(list(names))

    def shut_down(self) -> None:
        """Stop supervisord and all its programs, and wait until its process has ended."""
        if not self.alive():
            return
        pid = self.pid()
        self._server.shutdown()
        until(lambda: not runs(pid), STOP_SECONDS * 2)

    def _remove(self, names: list[str]) -> None:
        pending = set(names)

        def removed() -> bool:
            if not pending:
                return True
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
            return not pending

        if not until(removed, STOP_SECONDS + 10):
            raise StackError(f"these programs do not stop: {', '.join(sorted(pending))}; for their logs: make logs")

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
            str(self.layout.run / CONFIGURATION),
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
        if done.returncode == 0 and until(self.alive, 10):
            return
        output = done.stderr.strip() or done.stdout.strip() or "it does not answer"
        raise StackError(f"supervisord did not start: {output}")


class _Transport(SupervisorTransport):  # type: ignore[misc]
    """Supervisor's own transport; each request has a connection of its own, which waits 40 s for an answer at most."""

    def __init__(self, socket: Path) -> None:
        super().__init__(serverurl=f"unix://{socket}")
        create: Callable[[], http.client.HTTPConnection] = self._get_connection  # type: ignore[has-type]

        def connect() -> http.client.HTTPConnection:
            connection = create()
            try:
                connection.connect()
                connection.sock.settimeout(ANSWER_SECONDS)
            except OSError:
                connection.close()
                raise
            return connection

        self._get_connection = connect

    def request(self, *arguments: Any, **options: Any) -> Any:
        """Send one request and close its connection."""
        try:
            return super().request(*arguments, **options)
        finally:
            self.close()


def _call(name: str, method: Any, *arguments: object) -> None:
    try:
        method(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == BAD_NAME:
            raise KeyError(name) from None
        if fault.faultCode != NOT_RUNNING:
            raise

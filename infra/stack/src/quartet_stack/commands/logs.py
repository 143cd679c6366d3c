"""`make logs`: follow the logs of all programs, or of one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

from quartet_stack import saved
from quartet_stack.docker import containers
from quartet_stack.docker.compose import runs_in_containers
from quartet_stack.errors import StackError, UsageError
from quartet_stack.layout import Layout, layout

COLOURS = (36, 33, 32, 35, 34, 31)
LAST_BYTES = 4000
INTERVAL = 0.3


def main(environ: Mapping[str, str]) -> None:
    """Print the end of each log, then new lines; `SERVICE` selects one program, `FOLLOW=off` ends after the first part.

    Raises:
        StackError: There are no logs yet.
        UsageError: `SERVICE` names nothing that has a log.
    """
    place = layout(environ)
    if runs_in_containers(place):
        containers.print_logs(place, environ)
        return
    folder = place.logs
    service = environ.get("SERVICE", "")
    if not folder.is_dir():
        raise StackError("there are no logs yet; start the stack with: make up")
    names = sorted(path.stem for path in folder.glob("*.log"))
    if service and not any(_belongs(name, [service]) for name in names):
        raise UsageError(f"SERVICE={service} has no log; valid: {', '.join(names)}")
    programs = [service] if service else _last_started(place) or names
    followed: dict[Path, _Follower] = {}
    while True:
        for path in sorted(folder.glob("*.log")):
            if _belongs(path.stem, programs) and path not in followed:
                followed[path] = _Follower(path, COLOURS[len(followed) % len(COLOURS)])
        for follower in followed.values():
            follower.print_new()
        sys.stdout.flush()
        if environ.get("FOLLOW") == "off":
            return
        time.sleep(INTERVAL)  # the standard library cannot wait until a file grows


def _belongs(log: str, programs: Iterable[str]) -> bool:
    """Whether a log belongs to one of these programs, or to one of its replicas."""
    base, _, number = log.rpartition("-")
    return log in programs or (base in programs and number.isdigit())


def _last_started(place: Layout) -> list[str]:
    """The programs of the last `up`, without those of earlier modes."""
    try:
        return list(saved.record(place).get("programs", ()))
    except PermissionError:
        return []


class _Follower:
    """Reads one log file, and continues after its rotation."""

    def __init__(self, path: Path, colour: int) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._inode = 0
        name = f"{path.stem:>12} | "
        self._prefix = f"\033[{colour}m{name}\033[0m" if sys.stdout.isatty() else name

    def print_new(self) -> None:
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return
        if self._file and inode != self._inode:
            self._drain(self._file)
            self._file.close()
            self._file = None
        if not self._file:
            self._file = self._path.open(errors="replace")
            if not self._inode and self._path.stat().st_size > LAST_BYTES:
                self._file.seek(self._path.stat().st_size - LAST_BYTES)
                self._file.readline()
            self._inode = inode
        self._drain(self._file)

    def _drain(self, file: TextIO) -> None:
        for line in file:
            sys.stdout.write(f"{self._prefix}{line.rstrip()}\n")

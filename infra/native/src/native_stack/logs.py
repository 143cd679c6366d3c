"""`make logs`: follow what all programs, or one, write."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from native_stack.errors import StackError, usage
from native_stack.layout import layout

COLOURS = (36, 33, 32, 35, 34, 31)
LAST_BYTES = 4000
INTERVAL = 0.3


def main(environ: Mapping[str, str]) -> None:
    """Print the end of each log, then what is added; `SERVICE` chooses one, `FOLLOW=off` does not wait."""
    folder = layout(environ).logs
    wanted = environ.get("SERVICE", "")
    if not folder.is_dir():
        raise StackError("there are no logs yet; start the stack with: make up")
    known = sorted(path.stem for path in folder.glob("*.log"))
    if wanted and not any(_matches(name, wanted) for name in known):
        raise usage(f"SERVICE={wanted} has no log; valid: {', '.join(known)}")
    followed: dict[Path, _Follower] = {}
    while True:
        for path in sorted(folder.glob("*.log")):
            if _matches(path.stem, wanted) and path not in followed:
                followed[path] = _Follower(path, COLOURS[len(followed) % len(COLOURS)])
        for follower in followed.values():
            follower.print_new()
        sys.stdout.flush()
        if environ.get("FOLLOW") == "off":
            return
        time.sleep(INTERVAL)


def _matches(name: str, wanted: str) -> bool:
    if not wanted:
        return name != "supervisord"
    return name == wanted or (name.rpartition("-")[0] == wanted and name.rpartition("-")[2].isdigit())


class _Follower:
    """One log file, also across its rotation."""

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

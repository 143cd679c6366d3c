"""Where a stack keeps its files. Standard library only: `make up` asks before anything is installed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]
PRIVATE = 0o600
MACHINE = Path("/var/lib/quartet")  # what stacks that root starts share, and what cannot stay in closed folders
SOCKET_PATH_LIMIT = 90  # sun_path holds 107 characters, and supervisord appends its process id for a while


@dataclass(frozen=True)
class Layout:
    """The folders of one stack; downloads are shared by all stacks of a checkout."""

    root: Path

    @property
    def run(self) -> Path:
        """Generated configuration, logs and state of what runs."""
        return _followed(self.root / "run")

    @property
    def data(self) -> Path:
        """What `make clean` deletes and a change of mode keeps."""
        return _followed(self.root / "data")

    @property
    def logs(self) -> Path:
        return self.run / "logs"

    @property
    def scripts(self) -> Path:
        return self.run / "programs"

    @property
    def program_secrets(self) -> Path:
        """One file per program, with its own secrets only."""
        return self.run / "secrets"

    @property
    def elsewhere(self) -> Path:
        """Where root keeps `run` and `data` when the users of the programs cannot enter `root`; they become links."""
        return MACHINE / "stacks" / self._digest

    @property
    def _digest(self) -> str:
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:12]

    @property
    def components(self) -> Path:
        return REPOSITORY / ".stack" / "components"

    @property
    def supervisor_socket(self) -> Path:
        """In the run folder, or where that path is too long for a socket: root's in a folder that is root's alone,
        for what answers there is believed; anybody else's in the temporary folder."""
        inside = self.run / "supervisor.sock"
        if len(str(inside)) <= SOCKET_PATH_LIMIT:
            return inside
        folder = Path("/run" if os.geteuid() == 0 else tempfile.gettempdir())
        return folder / f"quartet-{self._digest}.sock"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets.json"

    @property
    def standbys(self) -> Path:
        """What is written down of databases that have a standby."""
        return self.data / "standbys.json"

    @property
    def record(self) -> Path:
        """What the last `up` brought up."""
        return self.run / "stack.json"


def _followed(path: Path) -> Path:
    return path.resolve() if path.is_symlink() else path


def layout(environ: Mapping[str, str]) -> Layout:
    """The stack that `STACK_DIR` names, `.stack` of the checkout by default."""
    chosen = environ.get("STACK_DIR", "")
    return Layout((REPOSITORY / chosen).resolve() if chosen else REPOSITORY / ".stack")


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold an exclusive lock on a file, saying so when another process has it.

    Whoever can read the file can hold its lock, so nobody else can.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE)
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            os.fchmod(handle, PRIVATE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for {waiting_for}", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

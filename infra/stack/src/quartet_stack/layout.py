"""Where a stack keeps its files. Standard library only: `make up` needs this before it installs anything."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]
PRIVATE = 0o600
MACHINE = Path("/var/lib/quartet")  # files that stacks of root share, and copies of files from closed folders
SOCKET_PATH_LIMIT = 90  # sun_path holds 107 characters, and supervisord appends its process id at first


@dataclass(frozen=True)
class Layout:
    """The folders and files of one stack."""

    root: Path

    @property
    def run(self) -> Path:
        """Generated configuration, logs, and the state of what runs."""
        return _followed(self.root / "run")

    @property
    def data(self) -> Path:
        """Databases, brokers and secrets: kept by a change of mode, deleted by `make clean`."""
        return _followed(self.root / "data")

    @property
    def logs(self) -> Path:
        """One log per process, and that of supervisord."""
        return self.run / "logs"

    @property
    def scripts(self) -> Path:
        """One script per program, as supervisord runs it."""
        return self.run / "programs"

    @property
    def program_secrets(self) -> Path:
        """One file per program, with only its own secrets."""
        return self.run / "secrets"

    @property
    def elsewhere(self) -> Path:
        """Where root keeps `run` and `data` if the users of the programs cannot enter `root`, which then has links."""
        return MACHINE / "stacks" / self._digest

    @property
    def _digest(self) -> str:
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:12]

    @property
    def components(self) -> Path:
        """Downloads, shared by all stacks of this checkout."""
        return REPOSITORY / ".stack" / "components"

    @property
    def supervisor_socket(self) -> Path:
        """The socket of supervisord: in the run folder, unless that path is too long for a socket.

        Then it is in the temporary folder; that of root is in `/run`, where only root can create one, because root
        trusts what answers there.
        """
        inside = self.run / "supervisor.sock"
        if len(str(inside)) <= SOCKET_PATH_LIMIT:
            return inside
        folder = Path("/run" if os.geteuid() == 0 else tempfile.gettempdir())
        return folder / f"quartet-{self._digest}.sock"

    @property
    def secrets(self) -> Path:
        """The generated secrets, see `secrets_store.py`."""
        return self.data / "secrets.json"

    @property
    def standbys(self) -> Path:
        """The file that says which server of a database is the primary."""
        return self.data / "standbys.json"

    @property
    def record(self) -> Path:
        """What the last `up` started: the environment of the stack, its programs and ports."""
        return self.run / "stack.json"


def _followed(path: Path) -> Path:
    return path.resolve() if path.is_symlink() else path


def layout(environ: Mapping[str, str]) -> Layout:
    """The stack that `STACK_DIR` names, `.stack` of the checkout by default."""
    chosen = environ.get("STACK_DIR", "")
    return Layout((REPOSITORY / chosen).resolve() if chosen else REPOSITORY / ".stack")


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold an exclusive lock on a file; if another process has it, print what is waited for, and wait.

    Only the owner can read the file, because whoever can read it can lock it.
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


def alone(place: Layout) -> AbstractContextManager[None]:
    """Hold the lock of a stack: whatever changes it does."""
    return locked(place.root / "stack.lock", "another make that is changing this stack")

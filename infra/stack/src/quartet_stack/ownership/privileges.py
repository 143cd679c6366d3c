"""Run every program unprivileged: if root calls `make up`, each program has a system user of its own.

PostgreSQL refuses to run as root, and no program needs root. No program keeps a capability: files that these users
cannot read in place are copied to where they can (`readable.py`).
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quartet_stack.errors import StackError
from quartet_stack.ownership import user_files, users
from quartet_stack.secrets_store import write_private

OTHERS = -1  # stands for any user or group that owns nothing
WRITE = 'new=$(mktemp ".$1.XXXXXX") && cat >"$new" && chmod "$2" "$new" && mv -fT -- "$new" "$1"'


@dataclass(frozen=True)
class RunUser:
    """The user who runs a program; `uid` is None for the caller."""

    name: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()

    def command(self) -> list[str]:
        """The words before a command that let root start it as this user."""
        if self.uid is None:
            return []
        groups = f"--groups={','.join(map(str, self.groups))}" if self.groups else "--clear-groups"
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", groups, "--no-new-privs", "--inh-caps=-all"]

    def own(self, folder: Path) -> None:
        """Give a folder and its contents to this user, unreadable for all others; no link is followed."""
        user_files.make(folder)
        user_files.hand_over(folder, self.uid, self.gid)

    def write(self, folder: Path, name: str, text: str, mode: int = 0o600) -> None:
        """Write a complete file into a folder of this user, as this user; a link with that name is replaced."""
        if self.uid is None:
            write_private(folder, name, text, mode)
        else:
            user_files.act(folder, self.identity(), WRITE, name, f"{mode:o}", text=text)

    def read(self, folder: Path, name: str) -> str:
        """The text of a file in a folder of this user; empty if it is missing or not a plain file."""
        return user_files.read(folder, self.uid, name)

    def identity(self) -> dict[str, Any]:
        """The options that make `subprocess` start a child as this user."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": list(self.groups)}


def run_user(program: str) -> RunUser:
    """The caller; for root the program's own user, who is created if missing.

    Raises:
        StackError: The user cannot be created, or `setpriv` is missing.
    """
    if os.geteuid() != 0:
        return RunUser(pwd.getpwuid(os.geteuid()).pw_name if _known_user() else str(os.geteuid()))
    if not shutil.which("setpriv"):
        raise StackError(
            "setpriv is missing (on Debian: apt-get install util-linux); or run make up as an ordinary user"
        )
    if not users.exists(program):
        users.ensure()
    entry = users.entry(program)
    return RunUser(entry.pw_name, entry.pw_uid, entry.pw_gid, (users.group(),))


def reachable(path: Path, uid: int = OTHERS, gid: int = OTHERS) -> bool:
    """Whether this user can read the path and enter all folders above it, by owner, group and mode bits."""
    resolved = Path(os.path.realpath(path))
    try:
        status = resolved.stat()
    except FileNotFoundError:
        return resolved.parent == resolved or reachable(resolved.parent, uid, gid)  # it is created later
    if not all(_allowed(parent.stat(), uid, gid, stat.S_IXOTH) for parent in resolved.parents):
        return False
    needed = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(status.st_mode) else stat.S_IROTH
    return _allowed(status, uid, gid, needed)


def enterable(folder: Path) -> bool:
    """Whether every user can enter a folder and all folders above it."""
    resolved = Path(os.path.realpath(folder))
    return all(_allowed(path.stat(), OTHERS, OTHERS, stat.S_IXOTH) for path in (resolved, *resolved.parents))


def _allowed(status: os.stat_result, uid: int, gid: int, needed: int) -> bool:
    shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
    return (status.st_mode >> shift) & needed == needed


def _known_user() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True

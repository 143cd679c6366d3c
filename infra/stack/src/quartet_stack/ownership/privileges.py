"""Run everything unprivileged, also when root types `make up`: there each program has a system user of its own.

PostgreSQL refuses to run as root, and nothing of the stack needs it. No program keeps a capability: what these users
cannot read where it lies is copied to where they can (`readable.py`).
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

OTHERS = -1  # an id that owns nothing
WRITE = 'new=$(mktemp ".$1.XXXXXX") && cat >"$new" && chmod "$2" "$new" && mv -fT -- "$new" "$1"'


@dataclass(frozen=True)
class RunUser:
    """Who runs a program; `uid` None means whoever called."""

    name: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()

    def command(self) -> list[str]:
        """The words to put before a command, to start it from root as this user."""
        if self.uid is None:
            return []
        groups = f"--groups={','.join(map(str, self.groups))}" if self.groups else "--clear-groups"
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", groups, "--no-new-privs", "--inh-caps=-all"]

    def own(self, folder: Path) -> None:
        """Make a folder, with all that is in it, this user's, for nobody else to read; no link is followed."""
        user_files.make(folder)
        user_files.hand_over(folder, self.uid, self.gid)

    def write(self, folder: Path, name: str, text: str, mode: int = 0o600) -> None:
        """Write a file as a whole into a folder of this user, as this user; a link of that name is replaced."""
        if self.uid is None:
            write_private(folder, name, text, mode)
        else:
            user_files.act(folder, self.identity(), WRITE, name, f"{mode:o}", text=text)

    def read(self, folder: Path, name: str) -> str:
        """The text of a file in a folder of this user; empty when there is none, or something else."""
        return user_files.read(folder, self.uid, name)

    def identity(self) -> dict[str, Any]:
        """What makes a child of `subprocess` this user."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": list(self.groups)}


def run_user(program: str) -> RunUser:
    """The caller, or for root the program's own user, made if missing; raises `StackError` when that cannot work."""
    if os.geteuid() != 0:
        return RunUser(pwd.getpwuid(os.geteuid()).pw_name if _known_user() else str(os.geteuid()))
    if not shutil.which("setpriv"):
        raise StackError("setpriv is missing (Debian: apt-get install util-linux); or run make up as a normal user")
    if not users.exists(program):
        users.ensure()
    found = users.entry(program)
    return RunUser(found.pw_name, found.pw_uid, found.pw_gid, (users.group(),))


def reachable(path: Path, uid: int = OTHERS, gid: int = OTHERS) -> bool:
    """Whether this user can read the path and enter all folders above it, by owner, group and mode bits."""
    resolved = Path(os.path.realpath(path))
    try:
        found = resolved.stat()
    except FileNotFoundError:
        return resolved.parent == resolved or reachable(resolved.parent, uid, gid)  # made later
    if not all(_allowed(parent.stat(), uid, gid, stat.S_IXOTH) for parent in resolved.parents):
        return False
    wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else stat.S_IROTH
    return _allowed(found, uid, gid, wanted)


def enterable(folder: Path) -> bool:
    """Whether everybody can enter a folder, and all folders above it."""
    resolved = Path(os.path.realpath(folder))
    return all(_allowed(one.stat(), OTHERS, OTHERS, stat.S_IXOTH) for one in (resolved, *resolved.parents))


def _allowed(found: os.stat_result, uid: int, gid: int, wanted: int) -> bool:
    shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
    return (found.st_mode >> shift) & wanted == wanted


def _known_user() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True

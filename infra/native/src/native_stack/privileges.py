"""Run everything as an unprivileged user, also when root types `make up`.

PostgreSQL refuses to run as root, and nothing of the stack needs it. Root's files may lie where nobody else
can read (a clone or an interpreter under /root): a program that has to read those, and only such a program,
keeps the capability to read what it is not allowed to; it still writes nothing but its own data.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from native_stack import owned
from native_stack.errors import StackError
from native_stack.secrets_store import write_private

# bits of the capability bounding set; containers often grant the second but not the first
READ_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}
SET_CAPABILITIES = 8

# what is done as the user, in a folder of the user's
MAKE = 'mkdir -p -- "$1"'
WRITE = 'new=$(mktemp ".$1.XXXXXX") && cat >"$new" && chmod "$2" "$new" && mv -fT -- "$new" "$1"'
REMOVE = 'rm -rf -- "$@"'
RENAME = 'mv -T -- "$1" "$2"'


@dataclass(frozen=True)
class RunUser:
    """Who runs the programs; `uid` None means whoever called."""

    name: str
    uid: int | None = None
    gid: int | None = None
    capability: str = ""

    def command(self, needs: Iterable[Path]) -> list[str]:
        """The words to put before a command that reads `needs`, to start it from root."""
        if self.uid is None:
            return []
        words = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if all(reachable(path, self.uid, self.gid or 0) for path in needs):
            return words
        # the secure bit makes access(2) count the capability too, which supervisord and Java ask
        grant = [f"--inh-caps=+{self.capability}", f"--ambient-caps=+{self.capability}"]
        return [*words, *grant, "--securebits=+no_setuid_fixup"]

    def give_up(self, needs: Iterable[Path]) -> list[str]:
        """Options of setpriv that drop the capability from a program that can read its `needs` without."""
        if self.uid is None or not self.capability:
            return []
        if all(reachable(path, self.uid, self.gid or 0) for path in needs):
            return ["--inh-caps=-all", "--ambient-caps=-all"]
        return []

    def own(self, *folders: Path) -> None:
        """Make folders, with all that is in them, this user's, for nobody else to read; no link is followed."""
        for folder in folders:
            folder.mkdir(mode=owned.PRIVATE, parents=True, exist_ok=True)
            owned.hand_over(folder, self.uid, self.gid)

    def make(self, folder: Path) -> None:
        """Make a folder inside of one that this user owns, as this user; it may be there already."""
        if not os.path.lexists(folder):
            above = next(parent for parent in folder.parents if parent.is_dir())
            owned.act(above, self.uid, self.gid, MAKE, str(folder.relative_to(above)))
        os.close(owned.open_folder(folder, self.uid))

    def write(self, folder: Path, name: str, text: str, mode: int = 0o600) -> None:
        """Write a file as a whole into a folder of this user, as this user; a link of that name is replaced."""
        if self.uid is None:
            write_private(folder, name, text, mode)
        else:
            owned.act(folder, self.uid, self.gid, WRITE, name, f"{mode:o}", text=text)

    def remove(self, folder: Path, *names: str) -> None:
        """Delete entries of a folder of this user, as this user; they need not be there."""
        if names:
            owned.act(folder, self.uid, self.gid, REMOVE, *names)

    def rename(self, folder: Path, name: str, new: str) -> None:
        """Rename an entry of a folder of this user, as this user."""
        owned.act(folder, self.uid, self.gid, RENAME, name, new)

    def give(self, descriptor: int) -> None:
        """Make an open file this user's."""
        if self.uid is not None and self.gid is not None:
            os.fchown(descriptor, self.uid, self.gid)


def run_user(needs: Iterable[Path]) -> RunUser:
    """The caller, or for root: `QUARTET_USER`, else nobody; raises `StackError` when that cannot work."""
    if os.geteuid() != 0:
        return RunUser(pwd.getpwuid(os.geteuid()).pw_name if _known_user() else str(os.geteuid()))
    name = os.environ.get("QUARTET_USER") or "nobody"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise StackError(f"QUARTET_USER={name}: there is no such user") from None
    if entry.pw_uid == 0:
        raise StackError("QUARTET_USER has to be an unprivileged user")
    if not shutil.which("setpriv"):
        raise StackError("setpriv is missing (Debian: apt-get install util-linux); or run make up as a normal user")
    closed = [path for path in needs if not reachable(path, entry.pw_uid, entry.pw_gid)]
    if not closed:
        return RunUser(name, entry.pw_uid, entry.pw_gid)
    capability = _read_capability(Path("/proc/self/status").read_text())
    if not capability:
        raise StackError(
            f"root runs the stack as user {name}, who cannot read {closed[0]}, and no capability that helps"
            " is granted here; move checkout and Python to where everybody can read, or run as a normal user"
        )
    return RunUser(name, entry.pw_uid, entry.pw_gid, capability)


def reachable(path: Path, uid: int, gid: int) -> bool:
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


def _allowed(found: os.stat_result, uid: int, gid: int, wanted: int) -> bool:
    shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
    return (found.st_mode >> shift) & wanted == wanted


def _read_capability(status: str) -> str:
    """The first capability of those that help which is in the bounding set of this process."""
    line = next((line for line in status.splitlines() if line.startswith("CapBnd:")), "CapBnd: 0")
    bounding = int(line.split()[1], 16)
    if not bounding & (1 << SET_CAPABILITIES):
        return ""
    return next((name for name, bit in READ_CAPABILITIES.items() if bounding & (1 << bit)), "")


def _known_user() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True

"""Work in folders of the users who run programs: root follows no link in them, and writes nothing there itself.

Such a user may put a link wherever root looks next, between any two of root's steps. So root keeps a folder open while
it changes the owner, and a child that already runs as that user writes the files.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quartet_stack.errors import StackError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
ENTRY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
PRIVATE = 0o700  # the bits of a mode that may stay
UMASK = 0o077
LONGEST = 1 << 16  # characters; longer files are not read
DEEPEST = 64  # levels of folders; deeper ones exist only to cause trouble


def open_folder(path: Path, uid: int | None) -> int:
    """A descriptor of a folder, reached without following a link that this user could have put there.

    Raises:
        StackError: The folder, or a folder above it that belongs to the user, is a link or not a folder.
        OSError: The folder cannot be opened for another reason, such as that it does not exist.
    """
    if uid is None:
        return os.open(path, FOLDER)
    descriptor = os.open("/", FOLDER)
    for depth, name in enumerate(path.parts[1:], 2):
        theirs = 0 != uid == os.fstat(descriptor).st_uid or depth == len(path.parts)
        try:
            inner = os.open(name, FOLDER | (os.O_NOFOLLOW if theirs else 0), dir_fd=descriptor)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise StackError(f"{Path(*path.parts[:depth])} is a link or not a folder; remove it") from None
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def make(folder: Path) -> None:
    """Create a folder unless something with that name exists; `open_folder` checks what that is."""
    if not os.path.lexists(folder):
        folder.mkdir(mode=PRIVATE, exist_ok=True)


def hand_over(path: Path, uid: int | None, gid: int | None) -> None:
    """Give a folder with its files and folders to a user, unreadable for all others; links stay as they are.

    A folder gets its new owner after its contents, so that the next call completes one that was interrupted.
    """
    folder = open_folder(path, uid)
    try:
        _hand_over(folder, uid, gid)
    finally:
        os.close(folder)


def _hand_over(folder: int, uid: int | None, gid: int | None, depth: int = 0) -> None:
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
        ]
    for name in names:
        try:
            inner = os.open(name, ENTRY, dir_fd=folder)
        except OSError:
            continue  # deleted meanwhile, or replaced by a link
        try:
            status = os.fstat(inner)
            if stat.S_ISDIR(status.st_mode) and depth < DEEPEST:
                _hand_over(inner, uid, gid, depth + 1)
            elif stat.S_ISREG(status.st_mode) and status.st_nlink == 1:  # a second name may be outside the folder
                _change_owner(inner, uid, gid)
        finally:
            os.close(inner)
    _change_owner(folder, uid, gid)


def _change_owner(descriptor: int, uid: int | None, gid: int | None) -> None:
    status = os.fstat(descriptor)
    if uid is not None and gid is not None and (status.st_uid, status.st_gid) != (uid, gid):
        os.fchown(descriptor, uid, gid)
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~PRIVATE and os.geteuid() in (0, status.st_uid):
        os.fchmod(descriptor, mode & PRIVATE)


def read(folder: Path, uid: int | None, name: str) -> str:
    """The text of a file in a folder of that user; empty if it is missing, not a plain file, or longer than 64 KiB."""
    try:
        descriptor = open_folder(folder, uid)
    except FileNotFoundError:
        return ""
    try:
        file = os.open(name, ENTRY, dir_fd=descriptor)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    with open(file, errors="replace") as opened:
        plain = stat.S_ISREG(os.fstat(file).st_mode)
        text = opened.read(LONGEST + 1) if plain else ""
    return text if len(text) <= LONGEST else ""


def act(folder: Path, identity: Mapping[str, Any], script: str, *words: str, text: str = "") -> None:
    """Run a shell script in a folder of a user, as that user.

    Args:
        folder: Where the script runs.
        identity: The options of `subprocess.run` that start the child as the user.
        script: For `sh -c`; `words` become $1 and so on.
        words: The arguments of the script.
        text: The standard input of the script.

    Raises:
        StackError: The script failed; the message has its standard error.
    """
    descriptor = open_folder(folder, identity.get("user"))
    try:
        # the child enters the folder before it becomes the user, who may not be able to enter those above it
        done = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *words],
            cwd=f"/proc/self/fd/{descriptor}",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            umask=UMASK,
            **identity,
        )
    finally:
        os.close(descriptor)
    if done.returncode:
        raise StackError(f"the owner of {folder} cannot write there: {done.stderr.strip()[-300:]}")

"""Folders of users who run programs: root follows no link in them, and writes nothing there.

That user may put a link wherever root would look next, between any two of root's steps. So a folder is held by its
descriptor while it changes hands, and what is to be written there is written by a child that is that user already.
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
PRIVATE = 0o700  # what may stay of a mode
UMASK = 0o077
LONGEST = 1 << 16  # characters of a file that is read
DEEPEST = 64  # folders in folders; what is deeper was made to be in the way


def open_folder(path: Path, uid: int | None) -> int:
    """A descriptor of a folder; links in folders of that user, or in place of the folder itself, are not followed:
    `StackError` names the first."""
    if uid is None:
        return os.open(path, FOLDER)
    held = os.open("/", FOLDER)
    for depth, name in enumerate(path.parts[1:], 2):
        theirs = 0 != uid == os.fstat(held).st_uid or depth == len(path.parts)
        try:
            inner = os.open(name, FOLDER | (os.O_NOFOLLOW if theirs else 0), dir_fd=held)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise StackError(f"{Path(*path.parts[:depth])} is no folder, or a link; take it away") from None
        finally:
            os.close(held)
        held = inner
    return held


def make(folder: Path) -> None:
    """Make a folder unless something of that name is there; what it is shows when it is opened."""
    if not os.path.lexists(folder):
        folder.mkdir(mode=PRIVATE, exist_ok=True)


def hand_over(path: Path, uid: int | None, gid: int | None) -> None:
    """Make a folder with the folders and files in it that user's, for nobody else to read; links stay as they are.

    A folder changes hands after what is in it: where this was interrupted, the next call finds what is left.
    """
    held = open_folder(path, uid)
    try:
        _hand_over(held, uid, gid)
    finally:
        os.close(held)


def _hand_over(held: int, uid: int | None, gid: int | None, depth: int = 0) -> None:
    with os.scandir(held) as entries:
        names = [one.name for one in entries if one.is_dir(follow_symlinks=False) or one.is_file(follow_symlinks=False)]
    for name in names:
        try:
            inner = os.open(name, ENTRY, dir_fd=held)
        except OSError:
            continue  # gone meanwhile, or a link by now
        try:
            found = os.fstat(inner)
            if stat.S_ISDIR(found.st_mode) and depth < DEEPEST:
                _hand_over(inner, uid, gid, depth + 1)
            elif stat.S_ISREG(found.st_mode) and found.st_nlink == 1:  # a second name may be outside
                _take(inner, uid, gid)
        finally:
            os.close(inner)
    _take(held, uid, gid)


def _take(held: int, uid: int | None, gid: int | None) -> None:
    found = os.fstat(held)
    if uid is not None and gid is not None and (found.st_uid, found.st_gid) != (uid, gid):
        os.fchown(held, uid, gid)
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~PRIVATE and os.geteuid() in (0, found.st_uid):
        os.fchmod(held, mode & PRIVATE)


def read(folder: Path, uid: int | None, name: str) -> str:
    """The text of a file in a folder of that user; empty when it is not there, no plain file, or longer than 64 KiB."""
    try:
        held = open_folder(folder, uid)
    except FileNotFoundError:
        return ""
    try:
        file = os.open(name, ENTRY, dir_fd=held)
    except OSError:
        return ""
    finally:
        os.close(held)
    with open(file, errors="replace") as opened:
        plain = stat.S_ISREG(os.fstat(file).st_mode)
        text = opened.read(LONGEST + 1) if plain else ""
    return text if len(text) <= LONGEST else ""


def act(folder: Path, identity: Mapping[str, Any], script: str, *words: str, text: str = "") -> None:
    """Run a shell script in a folder of the user that `identity` (options of `subprocess.run`) makes of the child.

    Raises `StackError` with what it said.
    """
    held = open_folder(folder, identity.get("user"))
    try:
        # the child enters the folder before it becomes the user, who may not be able to enter those above it
        done = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *words],
            cwd=f"/proc/self/fd/{held}",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            umask=UMASK,
            **identity,
        )
    finally:
        os.close(held)
    if done.returncode:
        raise StackError(f"{folder} cannot be written by the user whose it is: {done.stderr.strip()[-300:]}")

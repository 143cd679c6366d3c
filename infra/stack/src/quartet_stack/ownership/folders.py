"""The folders of a stack and their owners.

An ordinary user owns all of them. If root starts the stack, root owns `run` and `data`: every user may pass through
them, and only root may list them. In them, each program's user has its own script, secrets and data folder.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from quartet_stack.layout import MACHINE, Layout
from quartet_stack.ownership import user_files
from quartet_stack.ownership.privileges import RunUser, enterable, run_user

PASSAGE = 0o711  # every user may enter, only root may list
PLACE = "place"  # the file in `Layout.elsewhere` that names the stack


def prepare(place: Layout, report: Callable[[str], None], stop: Callable[[], object] = lambda: None) -> None:
    """Create the folders, or take over those of an older version, which one user owned.

    Args:
        place: The stack.
        report: Called with a line for each folder that is taken over or moved.
        stop: Stops the stack; called before a folder is taken over or moved.
    """
    if os.geteuid() != 0:
        for folder in (place.run, place.data):
            folder.mkdir(mode=user_files.PRIVATE, parents=True, exist_ok=True)
            user_files.hand_over(folder, None, None)
    else:
        _of_root(place, report, stop)
    for folder in (place.scripts, place.program_secrets, place.logs, place.data / "postgres"):
        user_files.make(folder)
    if os.geteuid() == 0:
        _allow(place.logs, user_files.PRIVATE)
        for folder in (place.run, place.data, place.scripts, place.program_secrets, place.data / "postgres"):
            _allow(folder, PASSAGE)


def home(place: Layout, program: str) -> tuple[Path, RunUser]:
    """Create the data folder of a program and give it to the program's user; returns both."""
    folder, user = place.data / program, run_user(program)
    user.own(folder)
    return folder, user


def delete(place: Layout) -> None:
    """Delete `run` and `data`."""
    for name in ("run", "data"):
        shutil.rmtree(_followed(place, name), ignore_errors=True)
        if (place.root / name).is_symlink():
            (place.root / name).unlink()
    if os.geteuid() == 0:
        shutil.rmtree(place.elsewhere, ignore_errors=True)


def started_by_root() -> dict[Path, Path]:
    """The stacks that root has started on this machine: `Layout.elsewhere` -> the folder of the stack."""
    return {path.parent: Path(path.read_text()) for path in sorted(MACHINE.glob(f"stacks/*/{PLACE}"))}


def close(elsewhere: Path, root: Path) -> list[Path]:
    """Let only root enter the folders of a stack; returns the folders that exist."""
    folders = [Layout(root).run, Layout(root).data] if root.is_dir() else [elsewhere / "run", elsewhere / "data"]
    existing = [folder for folder in folders if folder.is_dir() and folder.stat().st_uid == 0]
    for folder in existing:
        folder.chmod(user_files.PRIVATE)
    return existing


def _of_root(place: Layout, report: Callable[[str], None], stop: Callable[[], object]) -> None:
    elsewhere = place.elsewhere
    for folder in (MACHINE, elsewhere.parent, elsewhere):
        folder.mkdir(mode=PASSAGE, parents=True, exist_ok=True)
        folder.chmod(PASSAGE)
    if not (elsewhere / PLACE).exists():
        (elsewhere / PLACE).write_text(str(place.root))
    place.root.mkdir(parents=True, exist_ok=True)
    unreachable = not enterable(place.root)
    for name in ("run", "data"):
        folder = place.root / name
        moves = unreachable and not folder.is_symlink()
        if _foreign(_followed(place, name)):
            stop()
            report(f"{folder} belonged to one user of all programs; now each program gets a user and files of its own")
            _take_over(_followed(place, name), name)
        if moves:
            stop()
            report(f"{folder} moves to {elsewhere}, because the users of the programs cannot enter {place.root}")
            _move(folder, elsewhere / name)
        _followed(place, name).mkdir(mode=PASSAGE, exist_ok=True)


def _foreign(folder: Path) -> bool:
    return folder.is_dir() and folder.stat().st_uid != 0


def _take_over(folder: Path, name: str) -> None:
    """Give root a folder that another user could put links into.

    `run` is deleted, because following a link there would be a risk; everything in it but old logs is created again.
    """
    if name == "run":
        shutil.rmtree(folder)
    else:
        user_files.hand_over(folder, 0, 0)


def _move(folder: Path, target: Path) -> None:
    if folder.is_dir():
        shutil.move(folder, target)
    else:
        target.mkdir(mode=PASSAGE, exist_ok=True)
    folder.symlink_to(target)


def _followed(place: Layout, name: str) -> Path:
    return {"run": place.run, "data": place.data}[name]


def _allow(folder: Path, mode: int) -> None:
    """Set the mode of a folder of root; `StackError` if it is a link."""
    descriptor = user_files.open_folder(folder, 0)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)

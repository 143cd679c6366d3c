"""`make uninstall`: remove what `make up`, run by root, created on the machine outside of stacks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping

from quartet_stack.errors import StackError
from quartet_stack.layout import MACHINE
from quartet_stack.ownership import folders, users

KEPT = "kept {}, now readable by root only (make up continues with it, make clean deletes it)"
ORPHAN = "deleted {}, the data of {}, which no longer exists"


def main(environ: Mapping[str, str]) -> None:
    """Remove the users and the copies, and print what was removed.

    Raises:
        StackError: A stack runs, or the caller is not root.
    """
    if os.geteuid() != 0:
        raise StackError("make uninstall removes what make up created for root; to remove your own stack: make clean")
    uninstall(print)


def uninstall(report: Callable[[str], object]) -> None:
    """Remove the users and the copies; `report` gets a line for each thing that is removed or kept.

    Raises:
        StackError: Processes of a stack run; nothing was removed.
    """
    if running := users.processes():
        pid, name = min(running.items())
        raise StackError(
            f"{len(running)} processes of stacks are still running, such as {name} (process {pid});"
            f" stop them first: {_how_to_stop()}"
        )
    for elsewhere, root in folders.started_by_root().items():
        for folder in folders.close(elsewhere, root):
            if root.is_dir():
                report(KEPT.format(folder))
            else:
                shutil.rmtree(folder)
                report(ORPHAN.format(folder, root))
    if names := users.remove():
        report(f"removed the users {', '.join(names)}, and the group {users.PREFIX}")
    for kind in ("copies", "environments"):
        if (MACHINE / kind).is_dir():
            shutil.rmtree(MACHINE / kind)
            report(f"removed {MACHINE / kind}")
    if not _in_use() and MACHINE.is_dir():
        shutil.rmtree(MACHINE)
        report(f"removed {MACHINE}")


def _how_to_stop() -> str:
    return " ; ".join(f"STACK_DIR={root} make down" for root in folders.started_by_root().values()) or "make down"


def _in_use() -> bool:
    """Whether a stack that still exists has its data below `MACHINE`."""
    return any(
        root.is_dir() and any((elsewhere / name).is_dir() for name in ("run", "data"))
        for elsewhere, root in folders.started_by_root().items()
    )

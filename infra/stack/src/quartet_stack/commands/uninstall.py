"""`make uninstall`: take away what root's `make up` left on the machine outside of stacks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping

from quartet_stack.errors import StackError
from quartet_stack.layout import MACHINE
from quartet_stack.ownership import folders, users

KEPT = "kept, for root alone: {} (make up there goes on with it, make clean there deletes it)"
ORPHAN = "deleted: {}, the data of {}, which is gone"


def main(environ: Mapping[str, str]) -> None:
    """Remove users and copies, and say so; `StackError` when a stack runs, or for anybody but root."""
    if os.geteuid() != 0:
        raise StackError("make uninstall removes what root's make up made; a stack of your own ends with: make clean")
    uninstall(print)


def uninstall(report: Callable[[str], object]) -> None:
    """The same for whoever is root already; `report` is told each thing that is removed or kept."""
    if running := users.processes():
        pid, name = min(running.items())
        raise StackError(
            f"{len(running)} processes of stacks still run, {name} (process {pid}) among them;"
            f" stop them first: {_how_to_stop()}"
        )
    for elsewhere, root in folders.known().items():
        for folder in folders.close(elsewhere, root):
            if root.is_dir():
                report(KEPT.format(folder))
            else:
                shutil.rmtree(folder)
                report(ORPHAN.format(folder, root))
    if names := users.remove():
        report(f"removed: the users {', '.join(names)}, and the group {users.PREFIX}")
    for kind in ("copies", "environments"):
        if (MACHINE / kind).is_dir():
            shutil.rmtree(MACHINE / kind)
            report(f"removed: {MACHINE / kind}")
    if not _in_use() and MACHINE.is_dir():
        shutil.rmtree(MACHINE)
        report(f"removed: {MACHINE}")


def _how_to_stop() -> str:
    return " ; ".join(f"STACK_DIR={root} make down" for root in folders.known().values()) or "make down"


def _in_use() -> bool:
    """Whether a stack that still exists has its data below `MACHINE`."""
    return any(
        root.is_dir() and any((elsewhere / name).is_dir() for name in ("run", "data"))
        for elsewhere, root in folders.known().items()
    )

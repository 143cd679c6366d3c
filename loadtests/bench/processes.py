"""CPU time of process trees: of what runs, and of the children that have ended and were waited for."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import psutil


def cpu(roots: Mapping[str, int]) -> dict[str, float]:
    """Add up user and system time of process trees, in milliseconds since each process began.

    A child that has ended counts as soon as its parent has waited for it, with all that it had waited for itself.

    Args:
        roots: Name -> process id of the root of a tree.

    Raises:
        ProcessLookupError: A root has ended; the message names it.
    """
    milliseconds, children = _all()
    return {
        name: sum(milliseconds[pid] for pid in _tree(name, root, milliseconds, children))
        for name, root in roots.items()
    }


def together(roots: Iterable[int]) -> float:
    """Add up the time of all these trees, as `cpu` does; a process in several of them counts once.

    Raises:
        ProcessLookupError: A root has ended.
    """
    milliseconds, children = _all()
    members = {pid for root in roots for pid in _tree("a program", root, milliseconds, children)}
    return sum(milliseconds[pid] for pid in members)


def _all() -> tuple[dict[int, float], Mapping[int, list[int]]]:
    """The time of every process, and the children of each."""
    milliseconds: dict[int, float] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for process in psutil.process_iter(["ppid", "cpu_times"]):
        if (times := process.info["cpu_times"]) is not None:
            used = times.user + times.system + times.children_user + times.children_system
            milliseconds[process.pid] = used * 1000
            children[process.info["ppid"]].append(process.pid)
    return milliseconds, children


def _tree(name: str, root: int, milliseconds: Mapping[int, float], children: Mapping[int, list[int]]) -> list[int]:
    if root not in milliseconds:
        raise ProcessLookupError(f"{name} (process {root}) has ended")
    members = [root]
    for pid in members:
        members.extend(children.get(pid, ()))
    return members

"""CPU time of process trees, from /proc: what lives, and what has lived and was waited for."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

MILLISECONDS: Final = 1000 / os.sysconf("SC_CLK_TCK")
"""Of one tick: what the kernel tells is rounded down to it, for each process by itself."""

# of the words behind the name in /proc/PID/stat
PARENT: Final = 1
TIMES: Final = slice(11, 15)  # user and system of the process; the same of children it has waited for


class _Process(NamedTuple):
    parent: int
    milliseconds: float


def cpu(roots: Mapping[str, int]) -> dict[str, float]:
    """Milliseconds of user and system time of each named tree since its root began.

    A child that ended counts as soon as its parent has waited for it, with all that it had waited for itself.
    Raises ProcessLookupError when a root is gone.
    """
    found = dict(_processes())
    children: dict[int, list[int]] = {}
    for pid, process in found.items():
        children.setdefault(process.parent, []).append(pid)
    return {name: _tree(name, root, found, children) for name, root in roots.items()}


def _tree(name: str, root: int, found: Mapping[int, _Process], children: Mapping[int, list[int]]) -> float:
    if root not in found:
        raise ProcessLookupError(f"{name} (process {root}) has ended")
    members = [root]
    for pid in members:
        members.extend(children.get(pid, ()))
    return sum(found[pid].milliseconds for pid in members)


def _processes() -> Iterator[tuple[int, _Process]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield int(folder.name), _Process(int(words[PARENT]), sum(map(int, words[TIMES])) * MILLISECONDS)

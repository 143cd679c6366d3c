"""Memory of process trees, counted fairly: PSS gives each process its share of what is shared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def tree_pss(roots: Iterable[int]) -> dict[int, int]:
    """Bytes of PSS of each process with all its descendants; 0 where the caller may not look."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        parent = _parent(folder)
        if parent:
            children.setdefault(parent, []).append(int(folder.name))
    return {root: sum(_pss(pid) for pid in _descendants(root, children)) for root in roots}


def _descendants(root: int, children: dict[int, list[int]]) -> list[int]:
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _pss(pid: int) -> int:
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found.group(1)) * 1024 if found else 0

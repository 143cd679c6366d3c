"""Memory of process trees, counted without counting shared pages twice: PSS gives each process its share of them."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def tree_pss(roots: Iterable[int]) -> dict[int, int]:
    """PSS in bytes of each process with all its descendants; 0 for those that the caller may not inspect."""
    return {root: sum(map(_pss, _tree(root))) for root in roots}


def _tree(root: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0

"""The orders of an earlier history, to be placed again as they arrived then: `make load TRACE=…/history.jsonl`."""

from pathlib import Path

from loadtests.history import OPS, read_lines
from loadtests.shoppers import KINDS, ON_REQUEST, Kind

ORDER = OPS[0]


def trace(path: Path) -> list[tuple[float, Kind]]:
    """When each order arrived, in seconds after the first, and its kind; repeats of a request are left out.

    Raises:
        ValueError: A line is not one of a history, or no order of a known kind is in it.
        OSError: The file cannot be read.
    """
    known = {kind.name: kind for kind in (*KINDS, *ON_REQUEST)}
    first: dict[str, tuple[float, Kind]] = {}
    for line in read_lines(path):
        if line["type"] == "invoke" and line.get("op") == ORDER and line.get("kind") in known:
            first.setdefault(line["key"], (float(line["mono"]), known[line["kind"]]))
    if not first:
        raise ValueError(f"TRACE={path} has no order of a known kind")
    began = min(at for at, _ in first.values())
    return [(at - began, kind) for at, kind in first.values()]

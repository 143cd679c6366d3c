"""`python -m loadtests.edn history.jsonl`: print a history in EDN, as Jepsen writes it.

Elle, Knossos and Jepsen's own checkers read such files: one map a line, with `:index`, `:time` (nanoseconds since the
first line), `:process`, `:type`, `:f` and `:value`. `docs/reliability.md` shows how to use them.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from loadtests.history import COMPLETIONS, Line, read_lines

TYPES: Final = {"invoke": ":invoke", "ok": ":ok", "fail": ":fail", "unknown": ":info"}
"""Our types -> Jepsen's, in which an operation of unknown outcome is `:info`."""

USAGE: Final = "usage: python -m loadtests.edn HISTORY (a history.jsonl, for example reports/load-…/history.jsonl)"


class Keyword(str):
    """A word that is written with a colon."""

    __slots__ = ()


def edn(value: Any) -> str:
    """Write a JSON value or a keyword as EDN; the keys of maps become keywords where possible.

    Raises:
        TypeError: The value is anything else.
    """
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case Keyword():
            return f":{value}"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case Mapping():
            return "{" + ", ".join(f"{_key(name)} {edn(item)}" for name, item in value.items()) + "}"
        case list() | tuple():
            return "[" + " ".join(map(edn, value)) + "]"
    raise TypeError(f"no EDN for {type(value).__name__}")


_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _text(value: str) -> str:
    return '"' + "".join(_ESCAPES.get(char, char if char >= " " else f"\\u{ord(char):04x}") for char in value) + '"'


def _key(name: str) -> str:
    plain = name.replace("_", "-")
    return f":{plain}" if plain.replace("-", "a").isascii() and plain.replace("-", "a").isalnum() else _text(name)


@dataclass
class Processes:
    """Numbers Jepsen's processes: each runs one operation at a time, and none after one of unknown outcome."""

    running: dict[str, int] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    count: int = 0

    def begin(self, operation: str) -> int:
        """Give the operation the lowest free process; returns its number."""
        if self.free:
            number = heapq.heappop(self.free)
        else:
            number, self.count = self.count, self.count + 1
        self.running[operation] = number
        return number

    def end(self, operation: str, how: str) -> int:
        """Free the process of the operation, unless its outcome is unknown; returns its number."""
        number = self.running.pop(operation)
        if how != "unknown":
            heapq.heappush(self.free, number)
        return number


def operations(lines: Iterable[Line]) -> Iterator[dict[str, Any]]:
    """Turn a history into Jepsen's operations: faults are those of its `:nemesis`, readiness is left out.

    Raises:
        ValueError: An operation ends that has not begun.
    """
    processes = Processes()
    began: float | None = None
    index = 0
    for line in lines:
        began = line["mono"] if began is None else began
        if line["type"] == "ready":
            continue
        yield {
            "index": index,
            "time": round((line["mono"] - began) * 1e9),
            **(_fault(line) if line["type"] == "fault" else _operation(line, processes)),
        }
        index += 1


def _operation(line: Line, processes: Processes) -> dict[str, Any]:
    kind = line["type"]
    if kind == "invoke":
        process = processes.begin(line["id"])
        answer: dict[str, Any] = {}
    elif kind in COMPLETIONS and line["id"] in processes.running:
        process = processes.end(line["id"], kind)
        answer = {"status": line["status"]}
    else:
        raise ValueError(f"{kind} of {line['id']} ends what has not begun")
    names = ("customer", "key", "order_id")
    return {
        "process": process,
        "type": Keyword(TYPES[kind][1:]),
        "f": Keyword(line["op"]),
        "value": {**{name: line[name] for name in names}, **answer, **line["value"]},
    }


def _fault(line: Line) -> dict[str, Any]:
    """Jepsen's nemesis marks both the beginning and the end of a fault with `:info`."""
    return {
        "process": Keyword("nemesis"),
        "type": Keyword("info"),
        "f": Keyword(f"{line['phase']}-{line['fault']}"),
        "value": line["target"] if line["phase"] == "start" else {"target": line["target"], "felt": line["felt"]},
    }


def main(arguments: Sequence[str]) -> int:
    """Print a file as EDN; returns the exit status, 2 if it is no history."""
    if len(arguments) != 1:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        for operation in operations(read_lines(Path(arguments[0]))):
            print(edn(operation))
    except (OSError, ValueError, KeyError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

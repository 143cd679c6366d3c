"""Objectives that fail a load test: `OBJECTIVES="good.p95<500, failed<1%, drift<1.5"`.

`KIND.p50`, `.p95` and `.p99` are latencies of a kind of order in ms; `failed` is the share of all orders that ended
wrongly; `drift` is the p95 of good orders in the last third over that in the first, which shows what gets slower the
longer it runs.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.outcomes import Figures, share
from loadtests.shoppers import KINDS, ON_REQUEST

GRAMMAR: Final = re.compile(r"(?:([a-z-]+)\.)?(p50|p95|p99|failed|drift)<([0-9]+(?:\.[0-9]+)?)(%?)")
GOOD: Final = "good"
DRIFT: Final = "drift"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Objective:
    """What is looked at, of which kind of order (empty: of all), and the value that it has to be below."""

    text: str
    kind: str
    name: str
    below: float


def parse(text: str) -> tuple[Objective, ...]:
    """Read objectives, separated by commas.

    Raises:
        ValueError: One is not valid; the message names it.
    """
    return tuple(_objective(one.strip()) for one in text.split(",") if one.strip())


def missed(objective: Objective, kinds: Mapping[str, Figures], orders: Path) -> str:
    """What is wrong, in a sentence; an empty text if the objective is met.

    Args:
        objective: What to judge.
        kinds: The figures by kind.
        orders: The file with the outcomes.
    """
    value = VALUES.get(objective.name, _latency)(objective, kinds, orders)
    if value is None:
        return f"objective missed: {objective.text}, but there was no such order"
    return "" if value < objective.below else f"objective missed: {objective.text}, but it is {value:.4g}"


def _objective(text: str) -> Objective:
    found = GRAMMAR.fullmatch(text.replace(" ", ""))
    kind = found[1] or "" if found else ""
    known = [one.name for one in (*KINDS, *ON_REQUEST)]
    if not found or (found[2].startswith("p") and kind not in known) or (not found[2].startswith("p") and kind):
        raise ValueError(
            f"OBJECTIVES: {text!r} is not valid; valid are KIND.p50<MS, KIND.p95<MS, KIND.p99<MS, failed<SHARE% "
            f"and drift<FACTOR, where KIND is one of {', '.join(known)}"
        )
    return Objective(text, kind, found[2], float(found[3]) / (100 if found[4] else 1))


def _latency(objective: Objective, kinds: Mapping[str, Figures], orders: Path) -> float | None:
    of = kinds.get(objective.kind)
    return None if of is None else float(getattr(of, objective.name))


def _failed(objective: Objective, kinds: Mapping[str, Figures], orders: Path) -> float | None:
    placed = sum(kind.orders for kind in kinds.values())
    return sum(kind.failed for kind in kinds.values()) / placed if placed else None


def _drift(objective: Objective, kinds: Mapping[str, Figures], orders: Path) -> float | None:
    lines = map(json.loads, orders.read_text().splitlines())
    times: Sequence[float] = [line["ms"] for line in lines if line["kind"] == GOOD]
    third = len(times) // 3
    return share(sorted(times[-third:]), 0.95) / share(sorted(times[:third]), 0.95) if third else None


Value = Callable[[Objective, Mapping[str, Figures], Path], float | None]
VALUES: Final[Mapping[str, Value]] = {FAILED: _failed, DRIFT: _drift}

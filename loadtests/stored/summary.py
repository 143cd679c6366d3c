"""The curve over stored orders: medians, and ratios to the smallest size with their intervals. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import mean, median
from typing import Final

from loadtests.intervals import CONFIDENCE, half_width
from loadtests.stored.record import Record, Sample

FIGURES: Final[dict[str, Callable[[Sample], float]]] = {
    "settled a second": lambda sample: sample.rate,
    "CPU for an order": lambda sample: sample.cpu,
    "p50": lambda sample: sample.p50,
    "p99": lambda sample: sample.p99,
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """The mean ratio of pairs (geometric), and its interval of 95 % by Student's t; of one pair there is none."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})" if self.low < self.high else f"{self.mean:.2f}"


def ratio(pairs: Sequence[tuple[float, float]]) -> Ratio:
    """How the second figures of pairs relate to the first ones."""
    logs = [log(second / first) for first, second in pairs]
    centre = mean(logs)
    if len(logs) < 2:
        return Ratio(exp(centre), exp(centre), exp(centre))
    half = half_width(logs)
    return Ratio(exp(centre), exp(centre - half), exp(centre + half))


def pairs(record: Record, size: int, figure: Callable[[Sample], float]) -> list[tuple[float, float]]:
    """The figure at the smallest size and at this one, by rounds that have both."""
    by_place = {(sample.size, sample.number): figure(sample) for sample in record.samples}
    least = min(record.sizes)
    return [
        (by_place[least, number], by_place[size, number])
        for number in range(record.pairs)
        if (least, number) in by_place and (size, number) in by_place
    ]


def markdown(record: Record) -> str:
    """The section of the page."""
    machine, least = record.machine, min(record.sizes)
    rounds = min(sum(one.size == size for one in record.samples) for size in record.sizes)
    names = list(FIGURES)
    lines = [
        f"Made by `{record.command}` at {record.commit}: {machine.cores} cores ({machine.cpu}), PostgreSQL "
        f"{machine.postgresql}; `{record.mode}`, `PROVIDERS=instant`, {record.clients} clients for "
        f"{record.seconds:g} s, {rounds} rounds with every size in each. In brackets: the {CONFIDENCE:.0%} interval of "
        f"the ratio to {least:,} stored orders of the same round.",
        "",
        f"| stored orders | {' | '.join(f'{name} | ratio' for name in names)} |",
        "| ---: |" + " ---: |" * (2 * len(names)),
    ]
    for size in record.sizes:
        mine = [sample for sample in record.samples if sample.size == size]
        if not mine:
            continue
        cells = []
        for name, figure in FIGURES.items():
            cells.append(_shown(name, median(map(figure, mine))))
            cells.append("1" if size == least else str(ratio(pairs(record, size, figure))))
        stored = median(sample.stored for sample in mine)
        lines.append(f"| {round(stored, -3 if stored > 10_000 else 0):,.0f} | {' | '.join(cells)} |")
    lines += [
        "",
        "| orders audited | seconds | orders/s | memory of all its processes | filled in |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for audit in sorted(record.audits, key=lambda one: one.orders):
        filled = record.filled.get(audit.size)
        lines.append(
            f"| {audit.orders:,} | {audit.seconds:.1f} | {audit.orders / audit.seconds:,.0f} | {audit.memory:.0f} MB | "
            f"{f'{filled:.0f} s' if filled else '–'} |"
        )
    return "\n".join(lines)


def _shown(name: str, value: float) -> str:
    if name == "settled a second":
        return f"{value:.0f}"
    return f"{value:.2f} ms" if name == "CPU for an order" else f"{value:.0f} ms"

"""What a bench says about which mode to choose: each rule names the figures that it rests on. Pure.

A mode counts as better only where its interval does not overlap the other's. Rates and the carriers' CPU are compared
only between carriers that are no emulators; latency is not compared across transports either where one is emulated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.bench.parts import DEAD_SERVICE, SATURATION
from loadtests.bench.plan import LEAST_RUNS
from loadtests.bench.questions import EMULATED, highest, of_part
from loadtests.bench.record import Record, Run
from loadtests.bench.summary import Spread, Summary, confidence, spread, summarize
from loadtests.bench.tables import ranged
from sagakit.modes import MODES, SUBSTRATE_NAMES


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a mode."""

    mode: str
    value: Spread

    def __str__(self) -> str:
        return f"`{self.mode}` {ranged(self.value)}"


@dataclass(frozen=True, slots=True)
class Belief:
    """What many believe of two styles over one transport: that the figure of `better` is lower.

    `not_over`: the transport over which the figure does not mean the same in both styles.
    """

    text: str
    better: str
    value: Callable[[Summary], Spread]
    not_over: str = ""


ACTIVITIES: Final = "temporal-orchestration"
"""Its commands and their outcomes are activities of the server, so most of what it sends counts as no message."""

BELIEFS: Final = (
    Belief("Choreography answers sooner", "choreography", lambda one: one.p50),
    Belief("Choreography has the shorter tail", "choreography", lambda one: one.p99),
    Belief("Choreography costs less CPU in the services", "choreography", lambda one: one.services),
    Belief("Choreography writes less", "choreography", lambda one: one.writes),
    Belief("Choreography sends fewer messages", "choreography", lambda one: one.messages, not_over="temporal"),
)


def rules(record: Record) -> list[str]:
    """The rules, each a sentence with its figures, and whether it holds at the other rates too."""
    others = [mode for mode in record.plan.modes if mode != ACTIVITIES]
    apart = f" (`{ACTIVITIES}` apart, whose commands are activities of its server)" if len(others) > 1 else ""
    found = [
        _rule("For the lowest CPU of your own services", record, lambda one: one.services, " CPU ms an order"),
        _rule("For the fewest writes to the databases", record, lambda one: one.writes, " writes an order"),
        _rule(f"For the fewest messages{apart}", record, lambda one: one.messages, " messages an order", others),
    ]
    found += [_between_styles(record, substrate) for substrate in _substrates(record)]
    found += [_saturation(record), _recovery(record)]
    return [one for one in found if one]


def beliefs(record: Record) -> list[str]:
    """What the figures say to each belief, over each transport."""
    middle = {one.mode: one for one in summarize(record) if one.offered == record.plan.middle}
    found = []
    for belief in BELIEFS:
        said = []
        for substrate in _substrates(record):
            pair = {mode.rpartition("-")[2]: one for mode, one in middle.items() if one.substrate == substrate}
            if len(pair) == 2 and substrate != belief.not_over:
                said.append(_verdict(belief, substrate, pair))
        if said:
            found.append(f"*{belief.text} than orchestration.* {'; '.join(said)}.")
    return found


def best(figures: Sequence[Figure], highest_is_best: bool = False) -> tuple[Figure, list[Figure]]:
    """The best figure, and those others whose intervals overlap it."""
    ordered = sorted(figures, key=lambda one: -one.value.median if highest_is_best else one.value.median)
    first = ordered[0]
    return first, [one for one in ordered[1:] if overlap(one.value, first.value)]


def overlap(one: Spread, other: Spread) -> bool:
    """Whether two intervals have a value in common."""
    return one.low <= other.high and other.low <= one.high


def _rule(
    what: str, record: Record, value: Callable[[Summary], Spread], unit: str, modes: Sequence[str] | None = None
) -> str:
    """The rule at the middle rate, and what the other rates say to it; empty if it would compare fewer than two."""
    at: dict[float, list[Figure]] = {}
    for one in summarize(record):
        if modes is None or one.mode in modes:
            at.setdefault(one.offered, []).append(Figure(one.mode, value(one)))
    middle = at.pop(record.plan.middle, [])
    if len(middle) < 2:
        return ""
    sentence = _sentence(what, middle, f"{unit} at {record.plan.middle:g} orders/s")
    return " ".join([sentence, *_elsewhere(best(middle)[0].mode, at)])


def _elsewhere(chosen: str, at: Mapping[float, Sequence[Figure]]) -> list[str]:
    """What the figures at the other rates say to that choice, in sentences."""
    firsts = {f"{rate:g}": best(figures) for rate, figures in at.items()}
    holds = [rate for rate, (first, alike) in firsts.items() if chosen in (first.mode, *(one.mode for one in alike))]
    return [
        *([f"It holds at {' and '.join(holds)} orders/s too."] if holds else []),
        *(f"At {rate} orders/s it is {first}." for rate, (first, _) in firsts.items() if rate not in holds),
    ]


def _sentence(what: str, figures: Sequence[Figure], unit: str, highest_is_best: bool = False) -> str:
    first, alike = best(figures, highest_is_best)
    if len(alike) == len(figures) - 1:
        return f"{what} the figures prefer none: all intervals overlap, from {first}{unit}."
    also = f"; {', '.join(map(str, alike))} cannot be told from it" if alike else ""
    return f"{what} choose {first}{unit}{also}."


def _between_styles(record: Record, substrate: str) -> str:
    modes = [mode for mode in record.plan.modes if MODES[mode].substrate == substrate]
    flag = f", over {EMULATED[substrate]}," if substrate in EMULATED else ""
    what = f"Over {SUBSTRATE_NAMES[substrate]}, for the lowest median latency"
    return _rule(what, record, lambda one: one.p50, f" ms{flag}", modes)


def _saturation(record: Record) -> str:
    found = {mode: runs for mode, runs in of_part(record, SATURATION).items() if MODES[mode].substrate not in EMULATED}
    unit = f" orders/s with p99 under {record.plan.objective:g} ms, only over carriers that are no emulators"
    return _of_part("For the highest rate", found, highest, unit, highest_is_best=True)


def _recovery(record: Record) -> str:
    found = of_part(record, DEAD_SERVICE)
    return _of_part("For the soonest recovery from a dead service", found, _recovered, " s")


def _recovered(runs: Sequence[Run]) -> Spread:
    return spread(runs, lambda run: run.figures["recovery_seconds"])


def _of_part(
    what: str,
    found: Mapping[str, Sequence[Run]],
    value: Callable[[Sequence[Run]], Spread],
    unit: str,
    highest_is_best: bool = False,
) -> str:
    """The rule from a part of the bench, which may have fewer runs than the steady load; none from one run of each."""
    if len(found) < 2:
        return ""
    figures, least = [Figure(mode, value(runs)) for mode, runs in found.items()], min(map(len, found.values()))
    if least == 1:
        ordered = sorted(figures, key=lambda one: one.value.median)
        return f"{what} there is no rule: one run of each says from {ordered[0]} to {ordered[-1]}{unit}."
    sentence = _sentence(what, figures, unit, highest_is_best)
    if least >= LEAST_RUNS:
        return sentence
    sure = f"{confidence(least):.0%}"
    return f"{sentence} With {least} runs of each, an interval holds the true median with a confidence of {sure} only."


def _verdict(belief: Belief, substrate: str, pair: dict[str, Summary]) -> str:
    better = belief.value(pair.pop(belief.better))
    ((_, other),) = pair.items()
    worse = belief.value(other)
    figures = f"{ranged(better)} against {ranged(worse)}"
    if overlap(better, worse):
        return f"{SUBSTRATE_NAMES[substrate]}: not told apart ({figures})"
    return f"{SUBSTRATE_NAMES[substrate]}: {'yes' if better.median < worse.median else '**no**'} ({figures})"


def _substrates(record: Record) -> list[str]:
    return list(dict.fromkeys(MODES[mode].substrate for mode in record.plan.modes))

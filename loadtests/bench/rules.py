"""What a bench says about which mode to choose: each rule names the figures that it rests on. Pure.

A mode counts as better only where its interval does not overlap the other's. Rates and the carriers' CPU are compared
only between carriers that are no emulators; latency is not compared across transports either where one is emulated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.bench.parts import DEAD_SERVICE, SATURATION
from loadtests.bench.questions import EMULATED, highest, of_part
from loadtests.bench.record import Record
from loadtests.bench.summary import Spread, Summary, spread, summarize
from loadtests.bench.tables import ranged
from sagakit.modes import MODES


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
    """The rules, each a sentence with its figures and where it stops holding."""
    middle = [one for one in summarize(record) if one.offered == record.plan.middle]
    rate = f"at {record.plan.middle:g} orders/s on {record.machine.name}"
    found = [
        _rule("For the lowest CPU of your own services", middle, lambda one: one.services, f"CPU ms, {rate}"),
        _rule("For the fewest writes to the databases", middle, lambda one: one.writes, f"per order, {rate}"),
        _rule(
            f"For the fewest messages (`{ACTIVITIES}` apart, whose commands are activities of its server)",
            [one for one in middle if one.mode != ACTIVITIES],
            lambda one: one.messages,
            f"per order, {rate}",
        ),
    ]
    found += [_between_styles(middle, substrate, rate) for substrate in _substrates(record)]
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


def _rule(what: str, summaries: Sequence[Summary], value: Callable[[Summary], Spread], unit: str) -> str:
    figures = [Figure(one.mode, value(one)) for one in summaries]
    return _sentence(what, figures, unit) if len(figures) > 1 else ""


def _sentence(what: str, figures: Sequence[Figure], unit: str, highest_is_best: bool = False) -> str:
    first, alike = best(figures, highest_is_best)
    others = [one for one in figures if one is not first and one not in alike]
    if not others:
        return f"{what} the figures prefer none: all intervals overlap ({unit})."
    also = f"; {', '.join(map(str, alike))} cannot be told from it" if alike else ""
    return f"{what} choose {first}{also} ({unit}). It stops holding where the load, the machine or batches differ."


def _between_styles(summaries: Sequence[Summary], substrate: str, rate: str) -> str:
    figures = [Figure(one.mode, one.p50) for one in summaries if one.substrate == substrate]
    flag = f"; the carrier is {EMULATED[substrate]}" if substrate in EMULATED else ""
    return _sentence(f"Over {substrate}, for the lowest latency", figures, f"p50 ms, {rate}{flag}") if figures else ""


def _saturation(record: Record) -> str:
    found = of_part(record, SATURATION)
    figures = [Figure(mode, highest(runs)) for mode, runs in found.items() if MODES[mode].substrate not in EMULATED]
    unit = f"orders/s with p99 under {record.plan.objective:g} ms, only over carriers that are no emulators"
    return _sentence("For the highest rate", figures, unit, highest_is_best=True) if len(figures) > 1 else ""


def _recovery(record: Record) -> str:
    found = of_part(record, DEAD_SERVICE)
    figures = [Figure(mode, spread(runs, lambda run: run.figures["recovery_seconds"])) for mode, runs in found.items()]
    return _sentence("For the soonest recovery from a dead service", figures, "s") if len(figures) > 1 else ""


def _verdict(belief: Belief, substrate: str, pair: dict[str, Summary]) -> str:
    better = belief.value(pair.pop(belief.better))
    ((_, other),) = pair.items()
    worse = belief.value(other)
    figures = f"{ranged(better)} against {ranged(worse)}"
    if overlap(better, worse):
        return f"{substrate}: not told apart ({figures})"
    return f"{substrate}: {'yes' if better.median < worse.median else '**no**'} ({figures})"


def _substrates(record: Record) -> list[str]:
    return list(dict.fromkeys(MODES[mode].substrate for mode in record.plan.modes))

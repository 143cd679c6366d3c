"""`make load SHAPE=overload`: what the running stack does with more orders than it can serve.

First the peak: clients who place their next order when the last one has ended, 50 and then 400 of them. Then as many
buyers as want several times the peak (3; 10 where the peak is below 200 orders/s): each wants an order every 5 s. One
who is refused comes again after Retry-After with the same key, and wants no other order meanwhile. Then the drain, the
recovery, and the audit.

Exit status 0 if as many orders completed a second as at least 90 % of the peak, every order that was accepted completed
within SAGA_DEADLINE, nobody got another answer than 200, 202, 429 and 503, and the audit is clean; 1 if not, 2 if it
could not run. Settings: FACTOR, DURATION (s), CLIENTS (of the two peaks), SEED.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import uvloop
from rich.console import Console

from loadtests.auditing import audited
from loadtests.buyers import Buyers, Purchase
from loadtests.shoppers import body, mix
from quartet_stack.errors import StackError
from quartet_stack.settings import stack_environment

PEAK_SECONDS: Final = 15.0
SLOW: Final = 200.0  # orders a second; below this peak the load is ten times the peak
KEPT: Final = 0.9  # of the peak
RECOVERED: Final = 10.0  # seconds
THINK: Final = 5.0  # seconds between two orders of a buyer
BODIES: Final = 500

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings: `factor` times the peak for `duration` seconds; None: by the peak. `clients` of each peak."""

    factor: float | None
    duration: float
    clients: tuple[int, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Phase:
    """What a phase came to, over `seconds` from its first request to its last answer."""

    purchases: Sequence[Purchase]
    seconds: float

    @property
    def completed(self) -> Sequence[Purchase]:
        """The orders that completed."""
        return [one for one in self.purchases if one.end == "COMPLETED"]

    @property
    def rate(self) -> float:
        """Completed orders a second, drain included."""
        return len(self.completed) / self.seconds

    @property
    def in_flight(self) -> float:
        """The mean number of accepted orders in flight, by Little's law."""
        return sum(one.seconds for one in self.purchases if one.ended) / self.seconds

    @property
    def latest(self) -> float:
        """The longest time from the admission of an order to its end."""
        return max((one.seconds for one in self.purchases if one.ended), default=0.0)

    def wrong(self) -> Counter[str]:
        """What became of accepted orders that did not complete, and answers that nobody expects."""
        ends = (one.error or (one.end if one.end else "no end" if one.sent else "") for one in self.purchases)
        return Counter(end for end in ends if end not in ("", "COMPLETED"))


def plan(environ: Mapping[str, str]) -> Plan:
    """Read the settings.

    Raises:
        ValueError: A setting is wrong; the message names it.
    """
    given = {name: environ.get(name) or otherwise for name, otherwise in DEFAULTS.items()}
    try:
        factor = float(given["FACTOR"]) if given["FACTOR"] else None
        read = Plan(factor, float(given["DURATION"]), tuple(map(int, given["CLIENTS"].split(","))), int(given["SEED"]))
        if read.duration <= 0 or min(read.clients) < 1 or (factor is not None and factor <= 0):
            raise ValueError("not above 0")
    except ValueError as error:
        values = " ".join(f"{name}={value}" for name, value in given.items() if value)
        raise ValueError(
            f"{values}: each must be a number greater than 0, CLIENTS several with commas ({error})"
        ) from None
    return read


DEFAULTS: Final = {"FACTOR": "", "DURATION": "60", "CLIENTS": "50,400", "SEED": "1"}


class Overload:
    """The phases, against one shop."""

    def __init__(self, buyers: Buyers, seed: int) -> None:
        dice = random.Random(seed)
        (good,) = mix("good")
        self._buyers, self._bodies = buyers, [body(good, dice) for _ in range(BODIES)]
        self._dice = dice

    async def clients(self, number: int, seconds: float) -> Phase:
        """So many clients, each of whom places an order when the last one has ended."""
        began = time.monotonic()
        until = began + seconds
        purchases: list[Purchase] = []

        async def client() -> None:
            while time.monotonic() < until:
                purchases.append(purchase := await self._buyers.buy(self._order(), until))
                if not purchase.sent:
                    return  # it would come again after the end

        await asyncio.gather(*(client() for _ in range(number)))
        return Phase(purchases, _span(began, purchases))

    async def population(self, number: int, seconds: float, say: Callable[[str], None]) -> Phase:
        """So many buyers, each of whom wants an order every THINK seconds, and comes for the first time within them."""
        began = time.monotonic()
        until, purchases, offered = began + seconds, list[Purchase](), 0

        async def buyer(first: float) -> None:
            nonlocal offered
            await asyncio.sleep(first)
            while (now := time.monotonic()) < until:
                offered += 1
                purchases.append(purchase := await self._buyers.buy(self._order(), until))
                if not purchase.sent:
                    return  # it would come again after the end
                await asyncio.sleep(max(now + THINK - time.monotonic(), 0))

        tasks = [asyncio.create_task(buyer(self._dice.random() * THINK)) for _ in range(number)]
        while (await asyncio.wait(tasks, timeout=10))[1]:
            accepted = sum(bool(one.sent) for one in purchases)
            say(f"  after {time.monotonic() - began:.0f} s: {offered} orders offered, {accepted} accepted and ended")
        return Phase(purchases, _span(began, purchases))

    async def recovery(self, since: float) -> float:
        """Seconds from `since` until a new order is accepted at the first attempt, and completes."""
        while True:
            purchase = await self._buyers.buy(self._order(), time.monotonic() + 1)
            if purchase.end == "COMPLETED" and not purchase.refused:
                return purchase.ended - since

    def _order(self) -> Mapping[str, Any]:
        return self._dice.choice(self._bodies)


def _span(began: float, purchases: Sequence[Purchase]) -> float:
    return max((one.ended for one in purchases), default=began + 1.0) - began


async def run(stack: Mapping[str, str], chosen: Plan) -> bool:
    """All phases; whether every objective was met."""
    say = console.print
    deadline = float(stack.get("SAGA_DEADLINE") or os.environ.get("SAGA_DEADLINE") or 30)
    buyers = Buyers(stack["ORDER_URL"], stack["TOKEN_SIGNING_KEY"])
    overload = Overload(buyers, chosen.seed)
    say(f"overload: {stack['COORDINATION_MODE']}; warming up")
    await overload.clients(20, 3)
    phases = {}
    for number in chosen.clients:
        phases[number] = phase = await overload.clients(number, PEAK_SECONDS)
        say(f"{number} clients: {_described(phase)}")
    best = max(phases.values(), key=lambda phase: phase.rate)
    factor = chosen.factor or (3.0 if best.rate >= SLOW else 10.0)
    number = int(factor * best.rate * THINK)
    say(f"peak: {best.rate:.1f} orders/s; now {number} buyers want {factor:g} times as many for {chosen.duration:g} s")
    phase = await overload.population(number, chosen.duration, say)
    stopped = time.monotonic()
    recovered = await overload.recovery(stopped)
    buyers.close()
    say(f"overload: {_described(phase)}")
    most = max(phases)
    half = phases[most].in_flight / 2
    drained, share, other = phase.seconds - chosen.duration, phase.rate / best.rate, dict(phase.wrong())
    checks = (
        (share >= KEPT, f"{share:.0%} of the peak were completed a second, drain included ({KEPT:.0%} asked for)"),
        (phase.in_flight >= half, f"{phase.in_flight:.0f} in flight; half of those of {most} clients are {half:.0f}"),
        (phase.latest <= deadline, f"every accepted order ended within {phase.latest:.1f} s ({deadline:g} allowed)"),
        (not other, f"other ends and answers: {other or 'none'}"),
        (recovered <= RECOVERED, f"drained in {drained:.1f} s; {recovered:.1f} s later the next order was completed"),
    )
    for holds, what in checks:
        say(f"{'ok    ' if holds else 'MISSED'} {what}")
    return all(holds for holds, _ in checks)


def _described(phase: Phase) -> str:
    refused, accepted = sum(one.refused for one in phase.purchases), sum(bool(one.sent) for one in phase.purchases)
    return (
        f"{phase.rate:.1f} orders/s completed, {phase.in_flight:.0f} in flight; {accepted} of {len(phase.purchases)} "
        f"orders were accepted, {refused} requests refused; the slowest took {phase.latest:.1f} s"
    )


def main() -> int:
    """Overload the running stack, then audit it; returns the exit status."""
    try:
        chosen, stack = plan(os.environ), stack_environment()
    except (ValueError, StackError) as error:
        print(error, file=sys.stderr)
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        fine = runner.run(run(stack, chosen))
    return 0 if audited() and fine else 1


if __name__ == "__main__":
    sys.exit(main())

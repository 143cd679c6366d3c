"""`python -m loadtests.observing [rounds]`: the CPU time per order that it costs to be observable, at saturation.

First the native stack is kept busy: the CPU time of an order, of all its processes together, the orders a second, and
how many commands a transaction of the order service has. Then the four services run in this process without sockets
and disks (`shop`), and get as many orders a second in groups of that size, in each of these ways:

    as it is        the memory of /timeline and the stream of /activity, without spans
    followed        an operator follows /activity of each service meanwhile
    no memory       the code tells the memory nothing
    no hooks        the code does not ask whether spans are made
    once more       as it is: what differs from that is chance

A round has each way once, in an order of its own. At the end it prints what each costs in microseconds per order, with
intervals of 95 % over the rounds, and the share of it in the CPU time of an order of the whole stack.

Settings: COORDINATION_MODE (or MODE; one over a broker), PROVIDERS (`instant`; `sandbox`: each order has four calls,
which the memory keeps), CLIENTS, DURATION of the load (s), STACK_OF=ms,rate,group to leave out the load, PORT_OFFSET,
STACK_DIR. Exit status 0, or 2 if it could not run.
"""

import asyncio
import gc
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from statistics import mean, median
from typing import Final

import uvloop
from rich.console import Console

from loadtests.intervals import half_width
from loadtests.observing.saturated import Saturated, saturated
from loadtests.observing.shop import Shop
from loadtests.observing.ways import Piece, without
from quartet_stack import api
from quartet_stack.errors import StackError
from sagakit.modes import MODES, resolve

WAYS: Final = ("as it is", "followed", "no memory", "no hooks", "once more")
LEFT_OUT: Final[Mapping[str, Piece]] = {"no memory": "memory", "no hooks": "hooks"}
PAIRS: Final = (
    ("the memory of /timeline", "as it is", "no memory"),
    ("that, and a follower of /activity of each service", "followed", "no memory"),
    ("telemetry off", "as it is", "no hooks"),
    ("nothing (what chance makes of it)", "as it is", "once more"),
)
"""What costs something, the way with it and the way without it."""
ROUNDS: Final = 40
WINDOW: Final = 0.5  # seconds of each way

console = Console(highlight=False)
Round = Mapping[str, float]
"""For each way the microseconds of CPU for an order."""


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The interval of 95 % around the mean, by Student's distribution."""
    half = half_width(values)
    return mean(values) - half, mean(values) + half


def report(rounds: Sequence[Round], stack: Saturated) -> str:
    """The table, as Markdown, and the medians of each way."""
    whole = stack.ms * 1000
    lines = ["| what | pairs | microseconds per order | of the whole order |", "| --- | ---: | --- | --- |"]
    for name, with_it, otherwise in PAIRS:
        costs = [one[with_it] - one[otherwise] for one in rounds]
        low, high = interval(costs)
        cost = f"{mean(costs):+.1f} ({low:+.1f} to {high:+.1f})"
        share = f"{mean(costs) / whole:+.2%} ({low / whole:+.2%} to {high / whole:+.2%})"
        lines.append(f"| {name} | {len(rounds)} | {cost} | {share} |")
    medians = ", ".join(f"{way} {median(one[way] for one in rounds):.0f}" for way in WAYS)
    return "\n".join((*lines, "", f"Microseconds of CPU per order in this process (medians): {medians}"))


@asynccontextmanager
async def _way(shop: Shop, way: str) -> AsyncIterator[None]:
    with without(LEFT_OUT.get(way)):
        if way == "followed":
            async with shop.followed():
                yield
        else:
            yield


async def window(shop: Shop, stack: Saturated) -> float:
    """Microseconds of CPU for an order, while groups of orders come at the rate of the stack."""
    size = max(1, round(stack.group))
    groups = max(1, round(WINDOW * stack.rate / size))
    await shop.place(size)
    shop.forget()
    gc.collect()
    clock, tasks = asyncio.get_running_loop().time, []
    began, used = clock(), time.process_time()
    for number in range(groups):
        await asyncio.sleep(began + number * size / stack.rate - clock())
        tasks.append(asyncio.create_task(shop.place(size)))
    await asyncio.gather(*tasks)
    return (time.process_time() - used) / (groups * size) * 1e6


async def measure(shop: Shop, stack: Saturated, count: int) -> list[Round]:
    """Make the rounds."""
    rounds = list[Round]()
    for number in range(count):
        costs = dict[str, float]()
        for way in random.Random(number).sample(WAYS, len(WAYS)):
            async with _way(shop, way):
                costs[way] = await window(shop, stack)
        rounds.append(costs)
        console.print(f"round {number + 1} of {count}: " + ", ".join(f"{way} {costs[way]:.0f}" for way in WAYS))
    return rounds


def _asked(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[str, int, Saturated | None]:
    """The mode, the number of rounds, and the figures of the stack if they are given.

    Raises:
        ValueError: One of them is not valid; the message says which.
    """
    mode = resolve(environ.get("COORDINATION_MODE") or environ.get("MODE") or "kafka")
    if MODES[mode].substrate == "temporal":
        raise ValueError(f"COORDINATION_MODE={mode}: only the modes over a broker can be measured in one process")
    if arguments and not (arguments[0].isdecimal() and int(arguments[0]) > 1):
        raise ValueError(f"{arguments[0]!r} rounds: give a whole number from 2")
    try:
        given = [float(one) for one in environ.get("STACK_OF", "").split(",") if one]
    except ValueError:
        given = [0.0]
    if given and (len(given) != 3 or min(given) <= 0):
        raise ValueError("STACK_OF: give three numbers above 0, ms,rate,group, such as 1.8,800,190")
    return mode, int(arguments[0]) if arguments else ROUNDS, Saturated(*given) if given else None


def _busy(mode: str, environ: Mapping[str, str]) -> Saturated:
    """Bring the stack up, measure it under load, and stop it."""
    try:
        environment = api.up(mode, env={**environ, "OBSERVABILITY": "0"})
        clients, seconds = int(environ.get("CLIENTS", "400")), float(environ.get("DURATION", "15"))
        return uvloop.run(saturated(environment, clients, seconds))
    finally:
        api.down()


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Measure the stack and the ways, and print the table."""
    environ = {"PROVIDERS": "instant", **environ}
    try:
        mode, count, stack = _asked(arguments, environ)
        stack = stack or _busy(mode, environ)
    except (ValueError, StackError) as error:
        console.print(str(error), style="red")
        return 2
    console.print(
        f"{mode}, {environ['PROVIDERS']} providers: {stack.ms:.2f} ms of CPU per order at {stack.rate:.0f} orders/s, "
        f"{stack.group:.0f} commands in a transaction of the order service, {stack.repeated:.3f} repeated per order"
    )
    rounds = uvloop.run(_alone(environ["PROVIDERS"], mode, stack, count))
    console.print(report(rounds, stack))
    return 0


async def _alone(providers: str, mode: str, stack: Saturated, rounds: int) -> list[Round]:
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # as `sagakit.app.server.run` does
    async with Shop(providers, MODES[mode].style).open() as shop:
        return await measure(shop, stack, rounds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m loadtests.observing [rounds]`: the CPU time per order that it costs to be observable, at saturation.

The native stack is kept busy, and its services are switched from way to way while they work, a few seconds in each:

    as it is        the memory of /timeline and the stream of /activity, without spans
    followed        an operator follows /activity of each service meanwhile
    no memory       nothing is remembered or streamed
    no hooks        the code has no hooks for spans

A round has each way once, in an order of its own. Rounds are appended to `reports/observing.jsonl`, and those that are
there are not made again, so a measurement can be made in parts. At the end it prints the differences within the
rounds, with intervals of 95 %. CPU time is that of all processes of the stack: services, databases, the broker.

Settings: COORDINATION_MODE (or MODE), DURATION of a way (s), CLIENTS, LIMIT (seconds after which no round begins any
more), PORT_OFFSET, STACK_DIR. Exit status 0 if all rounds are there, 1 if some are missing, 2 if it could not run.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

import aiohttp
import uvloop
from rich.console import Console

from loadtests.bench.processes import together
from loadtests.buyers import Buyers
from loadtests.intervals import half_width
from loadtests.shoppers import body, mix
from loadtests.without.sitecustomize import SIGNALS
from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.settings import SERVICES
from sagakit.web.app import issue_token

RECORD: Final = Path("reports") / "observing.jsonl"
WITHOUT: Final = Path(__file__).parent / "without"
WAYS: Final = ("as it is", "followed", "no memory", "no hooks")
PAIRS: Final = (
    ("the memory of /timeline", "as it is", "no memory"),
    ("that, and a follower of /activity", "followed", "no memory"),
    ("telemetry off", "as it is", "no hooks"),
)
"""What costs something, the way with it and the way without it."""
WARM: Final = 5.0  # seconds
SETTLE: Final = 0.5  # seconds after a switch
BODIES: Final = 500

console = Console(highlight=False)
Round = Mapping[str, Any]
"""`mode`, `round`, and for each way `ms` of CPU time per order and `rate` in orders a second."""


def records(path: Path = RECORD) -> list[Round]:
    """The rounds that were made so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def missing(found: Sequence[Round], rounds: int, mode: str) -> list[int]:
    """The numbers of the rounds that are still to be made."""
    return sorted(set(range(rounds)) - {one["round"] for one in found if one["mode"] == mode})


def differences(found: Sequence[Round], with_it: str, without: str, mode: str) -> list[float]:
    """The excess of CPU time per order within each round, as a share of the time without it."""
    return [one[with_it]["ms"] / one[without]["ms"] - 1 for one in found if one["mode"] == mode]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The interval of 95 % around the mean, by Student's distribution."""
    half = half_width(values)
    return mean(values) - half, mean(values) + half


def report(found: Sequence[Round], mode: str) -> str:
    """The table, as Markdown, and the medians of each way."""
    lines = ["| what | pairs | CPU per order | interval of 95 % |", "| --- | --- | --- | --- |"]
    for name, with_it, without in PAIRS:
        shares = differences(found, with_it, without, mode)
        if len(shares) > 1:
            low, high = interval(shares)
            lines.append(f"| {name} | {len(shares)} | {mean(shares):+.1%} | {low:+.1%} to {high:+.1%} |")
    for way in WAYS if any(one["mode"] == mode for one in found) else ():
        ms, rate = (median(one[way][name] for one in found if one["mode"] == mode) for name in ("ms", "rate"))
        lines.append(f"\n{way}: {ms:.3f} ms of CPU per order, {rate:.0f} orders/s (medians)")
    return "\n".join(lines)


@dataclass
class Load:
    """Clients, each of whom places an order when the last one has ended; `completed` counts."""

    buyers: Buyers
    completed: int = 0
    others: int = 0
    bodies: Sequence[Any] = field(init=False)

    def __post_init__(self) -> None:
        dice, (good,) = random.Random(1), mix("good")
        self.bodies = [body(good, dice) for _ in range(BODIES)]

    async def client(self, number: int) -> None:
        """Place orders until cancelled."""
        for at in _forever(number):
            purchase = await self.buyers.buy(self.bodies[at % BODIES], time.monotonic() + 60)
            if purchase.end == "COMPLETED":
                self.completed += 1
            else:
                self.others += 1


def _forever(first: int) -> Iterator[int]:
    while True:
        yield first
        first += 1


@asynccontextmanager
async def busy(environment: Mapping[str, str], clients: int) -> AsyncIterator[Load]:
    """Keep the stack busy with so many clients."""
    buyers = Buyers(environment["ORDER_URL"], environment["TOKEN_SIGNING_KEY"])
    load = Load(buyers)
    tasks = [asyncio.create_task(load.client(number)) for number in range(clients)]
    try:
        await asyncio.sleep(WARM)
        yield load
    finally:
        await _cancelled(tasks)
        buyers.close()


async def one_round(number: int, load: Load, environment: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Each way once."""
    folder, found = environment["STACK_DIR"], dict[str, Any]()
    roots = api.processes(folder)
    for way in random.Random(number).sample(WAYS, len(WAYS)):
        for service in SERVICES:
            api.kill(service, SIGNALS.get(way, SIGNALS["as it is"]), stack_dir=folder)
        async with _following(environment) if way == "followed" else _nobody():
            await asyncio.sleep(SETTLE)
            began, used, done = time.monotonic(), together(roots.values()), load.completed
            await asyncio.sleep(seconds)
            used, done = together(roots.values()) - used, load.completed - done
            found[way] = {"ms": round(used / max(1, done), 4), "rate": round(done / (time.monotonic() - began), 1)}
    return found


@asynccontextmanager
async def _nobody() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _following(environment: Mapping[str, str]) -> AsyncIterator[None]:
    """Follow /activity of each service, and read all of it."""
    headers = {"Authorization": f"Bearer {issue_token(environment['TOKEN_SIGNING_KEY'], 'operator', 'admin')}"}

    async def follow(client: aiohttp.ClientSession, url: str) -> None:
        async with client.get(f"{url}/activity", headers=headers) as stream:
            async for _ in stream.content.iter_any():
                pass

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as client:
        tasks = [asyncio.create_task(follow(client, environment[f"{name.upper()}_URL"])) for name in SERVICES]
        try:
            yield
        finally:
            await _cancelled(tasks)


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


async def measure(
    environment: Mapping[str, str], mode: str, todo: Sequence[int], settings: Mapping[str, float]
) -> None:
    """Make the rounds as far as LIMIT allows."""
    end = time.monotonic() + settings["limit"]
    async with busy(environment, int(settings["clients"])) as load:
        for number in todo:
            if time.monotonic() > end:
                break
            found = await one_round(number, load, environment, settings["duration"])
            with RECORD.open("a") as file:
                file.write(json.dumps({"mode": mode, "round": number, **found}) + "\n")
            costs = ", ".join(f"{way} {one['ms']:.3f}" for way, one in found.items())
            console.print(f"round {number + 1}: {costs} ms of CPU per order")
    if load.others:
        console.print(f"{load.others} orders did not complete", style="yellow")


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Make the missing rounds, and print the table."""
    mode = environ.get("COORDINATION_MODE") or environ.get("MODE") or "kafka"
    given = {name: environ.get(name.upper(), otherwise) for name, otherwise in DEFAULTS.items()}
    rounds = int(arguments[0]) if arguments else 7
    RECORD.parent.mkdir(exist_ok=True)
    if todo := missing(records(), rounds, mode):
        stack = {"PROVIDERS": "instant", "OBSERVABILITY": "0", "PYTHONPATH": str(WITHOUT)}
        try:
            environment = api.up(mode, env={**environ, **stack})
            uvloop.run(measure(environment, mode, todo, {name: float(value) for name, value in given.items()}))
        except StackError as error:
            console.print(str(error), style="red")
            return 2
        finally:
            api.down()
    console.print(report(records(), mode))
    if left := len(missing(records(), rounds, mode)):
        console.print(f"{left} of {rounds} rounds are missing: run the command again")
    return 1 if left else 0


DEFAULTS: Final = {"duration": "3", "clients": "400", "limit": "inf"}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

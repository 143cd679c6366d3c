"""`python -m loadtests.observing [rounds]`: the CPU time per order that it costs to be observable, at saturation.

Each round loads the native stack in each of these ways, in a new order each time:

    as it is        the memory of /timeline, the stream of /activity, and no spans
    followed        an operator follows /activity of each service meanwhile
    no memory       nothing is remembered or streamed (`loadtests/without/record`)
    no hooks        the code is compiled without the hooks for spans (`loadtests/without/hooks`)

and appends what it has measured to `reports/observing.jsonl`. Rounds that are there are not run again, so a measurement
can be made in parts. At the end it prints the differences within the rounds, with intervals of 95 %.

Settings: COORDINATION_MODE (or MODE), DURATION of a load (s), CLIENTS, LIMIT (seconds after which no load begins any
more), PORT_OFFSET, STACK_DIR. Exit status 0 if all rounds are there, 1 if some are missing, 2 if it could not run.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

import aiohttp
import uvloop
from rich.console import Console
from scipy import stats

from loadtests.bench.processes import together
from loadtests.buyers import Buyers
from loadtests.overload import Overload
from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.settings import SERVICES
from sagakit.web.app import issue_token

RECORD: Final = Path("reports") / "observing.jsonl"
WITHOUT: Final = Path(__file__).parent / "without"
WAYS: Final[Mapping[str, Mapping[str, str]]] = {
    "as it is": {},
    "followed": {},
    "no memory": {"PYTHONPATH": str(WITHOUT / "record")},
    "no hooks": {"PYTHONPATH": str(WITHOUT / "hooks")},
}
"""Way -> its settings of the stack."""
PAIRS: Final = (
    ("the memory of /timeline", "as it is", "no memory"),
    ("that, and a follower of /activity", "followed", "no memory"),
    ("telemetry off", "as it is", "no hooks"),
)
"""What costs something, the way with it and the way without it."""
WARM: Final = 2.0  # seconds

console = Console(highlight=False)


def records(path: Path = RECORD) -> list[dict[str, Any]]:
    """What was measured so far: a dictionary for each load."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def missing(found: Sequence[Mapping[str, Any]], rounds: int, mode: str) -> list[tuple[int, str]]:
    """The loads that are still to be made, round by round; the order within a round is drawn by its number."""
    done = {(one["round"], one["way"]) for one in found if one["mode"] == mode}
    order = [(number, way) for number in range(rounds) for way in random.Random(number).sample(list(WAYS), len(WAYS))]
    return [one for one in order if one not in done]


def differences(found: Sequence[Mapping[str, Any]], with_it: str, without: str, mode: str) -> list[float]:
    """The excess of CPU time per order within each round, as a share of the time without it."""
    cost = {(one["round"], one["way"]): one["ms"] for one in found if one["mode"] == mode}
    rounds = sorted({number for number, _ in cost})
    pairs = [
        (cost[number, with_it], cost[number, without])
        for number in rounds
        if {(number, with_it), (number, without)} <= cost.keys()
    ]
    return [more / less - 1 for more, less in pairs]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The interval of 95 % around the mean, by Student's distribution."""
    low, high = stats.t.interval(0.95, len(values) - 1, mean(values), stats.sem(values))
    return float(low), float(high)


def report(found: Sequence[Mapping[str, Any]], mode: str) -> str:
    """The table, as Markdown."""
    lines = ["| what | pairs | CPU per order | interval of 95 % |", "| --- | --- | --- | --- |"]
    for name, with_it, without in PAIRS:
        shares = differences(found, with_it, without, mode)
        if len(shares) > 1:
            low, high = interval(shares)
            lines.append(f"| {name} | {len(shares)} | {mean(shares):+.1%} | {low:+.1%} to {high:+.1%} |")
    for way in WAYS:
        own = [one for one in found if (one["way"], one["mode"]) == (way, mode)]
        if own:
            ms, rate = (median(one[name] for one in own) for name in ("ms", "rate"))
            lines.append(f"\n{way}: {ms:.2f} ms of CPU per order, {rate:.0f} orders/s (medians of {len(own)})")
    return "\n".join(lines)


async def measure(environment: Mapping[str, str], way: str, seconds: float, clients: int, seed: int) -> dict[str, Any]:
    """Load the stack; CPU milliseconds per completed order of all its processes, and orders a second."""
    buyers = Buyers(environment["ORDER_URL"], environment["TOKEN_SIGNING_KEY"])
    load = Overload(buyers, seed)
    try:
        async with _following(environment) if way == "followed" else _nobody():
            await load.clients(clients, WARM)
            await asyncio.sleep(1)
            roots = api.processes(environment["STACK_DIR"]).values()
            before = together(roots)
            phase = await load.clients(clients, seconds)
            await asyncio.sleep(1)  # what is still to be settled, deleted, written
            used = together(roots) - before
    finally:
        buyers.close()
    if wrong := phase.wrong():
        console.print(f"{way}: {dict(wrong)}", style="yellow")
    return {"ms": used / max(1, len(phase.completed)), "rate": phase.rate, "orders": len(phase.completed)}


@asynccontextmanager
async def _nobody() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _following(environment: Mapping[str, str]) -> AsyncIterator[None]:
    """Follow /activity of each service, and read all of it."""
    token = issue_token(environment["TOKEN_SIGNING_KEY"], "operator", "admin")
    headers = {"Authorization": f"Bearer {token}"}

    async def follow(client: aiohttp.ClientSession, url: str) -> None:
        async with client.get(f"{url}/activity", headers=headers) as stream:
            async for _ in stream.content.iter_any():
                pass

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as client:
        tasks = [asyncio.create_task(follow(client, environment[f"{name.upper()}_URL"])) for name in SERVICES]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Make the missing loads as far as LIMIT allows, and print the table."""
    mode = environ.get("COORDINATION_MODE") or environ.get("MODE") or "kafka"
    seconds, clients = float(environ.get("DURATION", "8")), int(environ.get("CLIENTS", "400"))
    rounds, end = int(arguments[0]) if arguments else 7, time.monotonic() + float(environ.get("LIMIT", "inf"))
    RECORD.parent.mkdir(exist_ok=True)
    todo = missing(records(), rounds, mode)
    try:
        for number, way in todo:
            if time.monotonic() > end:
                break
            settings = {"PROVIDERS": "instant", "OBSERVABILITY": "0", "PYTHONPATH": "", **WAYS[way]}
            environment = api.up(mode, env={**environ, **settings})
            found = uvloop.run(measure(environment, way, seconds, clients, number))
            with RECORD.open("a") as file:
                file.write(json.dumps({"mode": mode, "round": number, "way": way, **found}) + "\n")
            console.print(f"round {number + 1}, {way}: {found['ms']:.3f} ms per order, {found['rate']:.0f} orders/s")
    except StackError as error:
        console.print(str(error), style="red")
        return 2
    finally:
        api.down()
    console.print(report(records(), mode))
    left = len(missing(records(), rounds, mode))
    if left:
        console.print(f"{left} of {rounds * len(WAYS)} loads are missing: run the command again")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Places orders by an open Poisson process, in the process of a peer's order service, and tells when each completed.

The bench writes a line to standard input for each load, `RATE SECONDS SEED`, and reads a line of JSON: for each order
when it arrived (monotonic clock, s), how it ended, and after how many ms.
"""

import asyncio
import json
import random
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from loadtests.bench.peers.work import SKUS, Order

PATIENCE: Final = 30.0
READY: Final = "ready"
Buy = Callable[[Order], Awaitable[None]]
"""Places an order, and returns when it has completed."""


async def drive(buy: Buy) -> None:
    """Do loads until standard input ends."""
    say(READY)
    while line := await asyncio.to_thread(sys.stdin.readline):
        rate, seconds, seed = line.split()
        say(json.dumps(await _load(buy, float(rate), float(seconds), random.Random(int(seed)))))


def say(line: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def order(dice: random.Random) -> Order:
    """Draw a good order."""
    quantity = dice.randint(1, 3)
    return Order(str(uuid.uuid4()), f"item-{dice.randint(1, SKUS)}", quantity, 1200 * quantity, "1 Main St, Riga")


async def _load(buy: Buy, rate: float, seconds: float, dice: random.Random) -> list[tuple[float, str, float]]:
    began = due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = []
        while True:
            due += dice.expovariate(rate)
            if due - began > seconds:
                break
            await asyncio.sleep(max(due - time.monotonic(), 0))
            tasks.append(group.create_task(_one(buy, order(dice))))
    return [task.result() for task in tasks]


async def _one(buy: Buy, wanted: Order) -> tuple[float, str, float]:
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            await buy(wanted)
    except TimeoutError:
        return began, "timed out", 0.0
    except Exception as error:  # any failure of a peer is a failed order, which the report shows
        sys.stderr.write(f"{wanted.order_id}: {error!r}\n")
        return began, "failed", 0.0
    return began, "completed", round((time.monotonic() - began) * 1000, 2)

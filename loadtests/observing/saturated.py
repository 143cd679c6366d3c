"""What an order costs the whole stack while it is kept busy, and how the work comes to the services then."""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from loadtests.bench.measure import samples
from loadtests.bench.processes import together
from loadtests.buyers import Buyers
from loadtests.shoppers import body, mix
from quartet_stack import api
from quartet_stack.settings import SERVICES

WARM: Final = 5.0  # seconds
BODIES: Final = 500


@dataclass(frozen=True, slots=True)
class Saturated:
    """The figures of a busy stack.

    Attributes:
        ms: Milliseconds of CPU for an order: of services, databases and the broker together.
        rate: Completed orders a second.
        group: Commands in a transaction of the order service, on average.
        repeated: Commands that came again, for each order.
    """

    ms: float
    rate: float
    group: float
    repeated: float = 0.0


@dataclass(slots=True)
class _Load:
    buyers: Buyers
    completed: int = 0
    bodies: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        dice, (good,) = random.Random(1), mix("good")
        self.bodies = [body(good, dice) for _ in range(BODIES)]

    async def client(self, number: int) -> None:
        """Place orders, the next one when the last one has ended, until cancelled."""
        while True:
            number += 1
            purchase = await self.buyers.buy(self.bodies[number % BODIES], time.monotonic() + 60)
            self.completed += purchase.end == "COMPLETED"


async def saturated(environment: Mapping[str, str], clients: int, seconds: float) -> Saturated:
    """Keep the stack busy with so many clients, and measure it for so many seconds."""
    load = _Load(Buyers(environment["ORDER_URL"], environment["TOKEN_SIGNING_KEY"]))
    tasks = [asyncio.create_task(load.client(number)) for number in range(clients)]
    roots = api.processes(environment["STACK_DIR"]).values()
    try:
        await asyncio.sleep(WARM)
        before = _metrics(environment)
        began, used, done = time.monotonic(), together(roots), load.completed
        await asyncio.sleep(seconds)
        used, done, took = together(roots) - used, load.completed - done, time.monotonic() - began
        after = _metrics(environment)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        load.buyers.close()
    commands, transactions, repeated = (late - early for late, early in zip(after, before, strict=True))
    orders = max(1, done)
    return Saturated(used / orders, done / took, commands / max(1.0, transactions), repeated / orders)


def _metrics(environment: Mapping[str, str]) -> tuple[float, float, float]:
    """Commands and transactions of the order service, and the commands that came again, of all services."""
    read = {name: dict(_sums(environment[f"{name.upper()}_URL"])) for name in SERVICES}
    order = read["order"]
    repeated = sum(sums.get("saga_inbox_hits_total", 0.0) for sums in read.values())
    return order["saga_batch_size_sum"], order["saga_batch_size_count"], repeated


def _sums(url: str) -> Iterator[tuple[str, float]]:
    sums: dict[str, float] = {}
    for sample in samples(url):
        sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    yield from sums.items()

"""What the floors of emulators share: a bounded number of messages under way, the load, and the command."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from loadtests.bench.floors.shape import NothingRecorded
from loadtests.bench.measure import Stopwatch
from loadtests.bench.record import Usage
from quartet_stack import api

SECONDS: Final = 8.0
WARM_UP: Final = 1.0  # second, in which queues and subscriptions fill
PUBLISHERS: Final = 4  # calls at a time
ALONE: Final = 40  # messages of which each waits for the one before


class UnderWay:
    """Messages that were published and not received yet, at most `most`; `received` counts those that were.

    `arrived` is set whenever some are received.
    """

    def __init__(self, most: int) -> None:
        self._most, self._published, self.received = most, 0, 0
        self.arrived = asyncio.Event()

    async def room(self) -> None:
        """Wait until another message may be published."""
        while self._published - self.received >= self._most:
            self.arrived.clear()
            await self.arrived.wait()

    def publish(self, number: int) -> None:
        """Note that so many are to be received more."""
        self._published += number

    def receive(self, number: int) -> None:
        """Note that so many were received."""
        self.received += number
        self.arrived.set()


async def saturated(
    works: Iterable[Coroutine[Any, Any, None]],
    watch: Stopwatch,
    seconds: float,
    counts: Callable[[], Sequence[float]],
) -> tuple[Usage, list[float]]:
    """Let endless works go on for that long, after a warm-up: the CPU used meanwhile, and by how much `counts` grew."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(WARM_UP)
    before, first = watch.read(), counts()
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    used, last = watch.read() - before, counts()
    await cancelled(tasks)
    return used, [after - start for start, after in zip(first, last, strict=True)]


async def cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel the tasks, and wait until they have ended.

    Raises:
        Exception: One of them had failed.
    """
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def command(measured: Callable[[dict[str, str], float], Awaitable[Any]], arguments: Sequence[str]) -> int:
    """Measure the running stack and print the figures as JSON; returns the exit status, 2 if nothing was measured."""

    async def figures() -> Any:
        return await measured(api.stack_environment(), float(arguments[0]) if arguments else SECONDS)

    try:
        print(json.dumps(asdict(asyncio.run(figures()))))
    except NothingRecorded as error:
        print(error, file=sys.stderr)
        return 2
    return 0

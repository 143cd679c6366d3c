"""Waiting with an end: for an event, and before another try."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

T = TypeVar("T")
_DOUBLINGS: Final = 1000  # 2.0 ** 1024 is no float any more


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double: `initial`, 2 x `initial`, 4 x `initial`, ... seconds, and `most` seconds at most."""

    initial: float
    most: float

    def pause(self, failures: int) -> float:
        """Seconds to wait before the next try, after `failures` earlier failures and the present one.

        min(initial * 2 ** failures, most), for any number of failures.
        """
        return min(self.initial * 2.0 ** min(max(failures, 0), _DOUBLINGS), self.most)


USUAL: Final = Backoff(0.1, 5.0)  # the defaults of RETRY_INITIAL and RETRY_MAX


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether the event was set within `seconds` (None: however long it takes).

    Not `asyncio.wait_for`: in Python 3.11 it loses a cancellation that comes in the moment in which the event is set,
    and whoever stops the waiting task then waits for ever (python/cpython#86296).

    Whoever clears the event does so *before* looking at the state that it tells of: what comes during the look then
    ends the wait.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def company(answer: Coroutine[Any, Any, T], seconds: float, beat: Callable[[], None]) -> T:
    """The answer; `beat` is called every so many seconds until it is there."""
    task = asyncio.ensure_future(answer)
    try:
        while not (await asyncio.wait({task}, timeout=seconds))[0]:
            beat()
        return task.result()
    finally:
        task.cancel()

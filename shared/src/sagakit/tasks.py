"""Waiting with an end: for an event, and before another try."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

log = logging.getLogger(__name__)

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


async def work_until(
    event: asyncio.Event, work: Coroutine[Any, Any, Any], stop: Callable[[], Coroutine[Any, Any, Any]], seconds: float
) -> None:
    """Let `work` go on until the event is set or we are cancelled; then `stop` it, for so many seconds at most.

    Returns at once when the work ends by itself, and raises its error. It counts as stopped when it or `stop` has
    ended: each may end without the other.
    """
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
    finally:
        waiting.cancel()
        if not working.done():
            stopping = asyncio.ensure_future(stop())
            stopped, _ = await asyncio.wait({working, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not stopped:
                log.warning("work did not stop within %g s: what it had in hand goes to whoever comes next", seconds)


class Comeback:
    """`event` is set when something answers again that refused to for more than `patience` seconds.

    Silence is no refusal: what is overloaded is not to be started anew.
    """

    def __init__(self, patience: float = 2.0) -> None:
        self.event = asyncio.Event()
        self._patience = patience
        self._since: float | None = None

    async def watch(self, answer: Awaitable[T]) -> T:
        """The answer, or its error; an error other than TimeoutError is a refusal."""
        clock = asyncio.get_running_loop().time
        try:
            value = await answer
        except TimeoutError:
            raise
        except Exception:
            self._since = clock() if self._since is None else self._since
            raise
        if self._since is not None and clock() - self._since > self._patience:
            self.event.set()
        self._since = None
        return value

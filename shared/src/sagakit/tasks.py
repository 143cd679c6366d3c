"""Background tasks that are kept alive, pauses between retries, and waits that can always be ended."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sagakit.telemetry import Metrics
from sagakit.wording import stated

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]
_DOUBLINGS: Final = 1000  # 2.0 ** 1024 is too large for a float


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: pauses of `initial`, 2 x `initial`, 4 x `initial`, ... seconds, `most` seconds at most."""

    initial: float
    most: float

    def pause(self, failures: int) -> float:
        """Seconds to wait before the next try: min(initial * 2 ** failures, most), for any number of failures.

        `failures`: how many there were before the present one, so that the first pause is `initial`.
        """
        return min(self.initial * 2.0 ** min(max(failures, 0), _DOUBLINGS), self.most)


USUAL: Final = Backoff(0.1, 5.0)  # the defaults of RETRY_INITIAL and RETRY_MAX


async def finish_then_cancel(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which runs to its end even if this task is cancelled.

    Raises:
        CancelledError: This task was cancelled, and `work` has ended, even if with an error, which must not take the
            place of the cancellation: the caller would go on. A second cancellation ends `work` too.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await task
        except Exception as error:
            log.warning("what was in hand at the stop has failed: %s", stated(error))
        raise


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether the event was set within `seconds`; None waits without limit.

    Not `asyncio.wait_for`: in Python 3.11 it loses a cancellation that comes at the moment at which the event is set,
    and whoever stops the waiting task then waits for ever (python/cpython#86296).

    Clear the event *before* looking at the state that it signals: a change during the look then ends the wait.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def with_heartbeat(answer: Coroutine[Any, Any, T], seconds: float, beat: Callable[[], None]) -> T:
    """The answer; `beat` is called every `seconds` until it is there."""
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
    """Run `work` until the event is set or this task is cancelled; then `stop` it, for `seconds` at most.

    Returns at once when the work ends by itself, and raises its error. The work counts as stopped when it or `stop`
    has ended: each may end without the other.
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
                log.warning("work did not stop within %g s: what it had in hand goes to another worker", seconds)


class Comeback:
    """Sets `event` when something answers again after it has refused to for more than `patience` seconds.

    A timeout is no refusal: a server that is only overloaded must not make its clients start anew.
    """

    def __init__(self, patience: float = 2.0) -> None:
        self.event = asyncio.Event()
        self._patience = patience
        self._since: float | None = None

    async def watch(self, answer: Awaitable[T]) -> T:
        """The answer; any error other than TimeoutError is a refusal.

        Raises:
            TimeoutError: There was no answer in time.
            Exception: Whatever `answer` raises.
        """
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


FAILURES: Final = 5  # failures of a background task in a row, after which its service is not ready
FAILING: Final = 10.0  # or seconds for which it has been failing


@dataclass(slots=True)
class _Failures:
    """Failures of a task in a row. Those that are excused (`ours` is False) are not counted."""

    error: BaseException
    since: float
    count: int = 0
    ours: bool = True
    began: float | None = None  # when the task was restarted, if it runs


class Background:
    """Named long-running coroutines, restarted with exponential backoff when they raise.

    A task started with `restart=False` that raises sets `failed` instead. A task that returns is done; one that was
    cancelled by anything but `stop` has failed. A task has recovered when it has run for longer than the longest pause.
    `excused(error)` says that an error is not the task's own fault, because a dependency is known to be unavailable.
    """

    def __init__(
        self,
        metrics: Metrics,
        backoff: Backoff = USUAL,
        *,
        excused: Callable[[BaseException], bool] = lambda error: False,
    ) -> None:
        self._metrics, self._backoff, self._excused = metrics, backoff, excused
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, _Failures] = {}
        self._stopping = False
        self.failed = asyncio.Event()

    def start(self, name: str, work: Work, *, restart: bool = True) -> None:
        """Run `work()` until `stop`.

        Raises:
            ValueError: A task of that name still runs.
        """
        if name in self._tasks and not self._tasks[name].done():
            raise ValueError(f"the background task {name} already runs")
        self._metrics.background_failing.labels(name).set_function(lambda: float(name in self._failing()))
        self._tasks[name] = asyncio.create_task(self._keep(name, work, restart), name=name)

    def ailing(self) -> dict[str, str]:
        """The tasks that have failed and not recovered, each with the type of its last error."""
        return {name: type(row.error).__name__ for name, row in self._failing().items()}

    def beyond_bound(self) -> dict[str, str]:
        """The tasks that failed through their own fault FAILURES times in a row, or for more than FAILING seconds."""
        now = time.monotonic()
        return {
            name: f"{type(row.error).__name__}, {row.count} times in {now - row.since:.0f} s"
            for name, row in self._failing().items()
            if (row.count >= FAILURES or (row.count and now - row.since > FAILING)) and not self._excused(row.error)
        }

    async def stop(self) -> None:
        """Cancel all tasks, and return when the last one has ended, in whatever way."""
        tasks, self._stopping = list(self._tasks.values()), True
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                log.warning("a background task failed while it was being stopped: %s", stated(ended))
        self._stopping = False
        self._tasks, self._failures = {}, {}

    def _failing(self) -> dict[str, _Failures]:
        now = time.monotonic()
        longest = self._backoff.most
        return {name: row for name, row in self._failures.items() if row.began is None or now - row.began <= longest}

    async def _keep(self, name: str, work: Work, restart: bool) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            if name in self._failures:
                self._failures[name].began = began
            try:
                await work()
                self._failures.pop(name, None)
                return
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # also a cancellation or a panic from inside a library
                if self._stopping or (isinstance(error, asyncio.CancelledError) and _cancelled()):
                    raise
                self._record(name, error, time.monotonic() - began > self._backoff.most)
                log.exception("background task failed", extra={"task": name, "restarts": restart})
            if not restart:
                self.failed.set()
                return
            self._metrics.background_restarts.labels(name).inc()
            if time.monotonic() - began > self._backoff.most:
                failures = 0
            await asyncio.sleep(self._backoff.pause(failures))
            failures += 1

    def _record(self, name: str, error: BaseException, had_recovered: bool) -> None:
        before, ours = self._failures.get(name), not self._excused(error)
        if before is None or had_recovered or not ours or not before.ours:
            self._failures[name] = _Failures(error, time.monotonic(), int(ours), ours)
        else:
            self._failures[name] = _Failures(error, before.since, before.count + 1)


def _cancelled() -> bool:
    """Whether the current task was cancelled from outside."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

"""Background tasks: restarted when they raise, and told when they keep raising."""

import asyncio

import pytest

from sagakit.tasks import Background, Backoff
from sagakit.telemetry import Metrics
from tests.waits import ENDS, until


async def test_background_restarts_with_backoff_and_counts() -> None:
    metrics, runs = Metrics(), 0
    background = Background(metrics, Backoff(0.1, 0.1))

    async def fragile() -> None:
        nonlocal runs
        runs += 1
        if runs <= 3:
            raise RuntimeError("again")
        await asyncio.Event().wait()

    background.start("fragile", fragile)
    await until(background.ailing)
    assert background.ailing() == {"fragile": "RuntimeError"}
    await until(lambda: runs == 4)
    await until(lambda: not background.ailing())
    assert b'background_restarts_total{task="fragile"} 3.0' in metrics.exposition()[0]
    assert not background.failed.is_set()
    with pytest.raises(ValueError, match="already runs"):
        background.start("fragile", fragile)
    await background.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Fragile:
    """Work that raises `error` at once while it is set, and runs for ever otherwise."""

    def __init__(self, error: BaseException | None) -> None:
        self.error, self.runs = error, 0
        self.running = asyncio.Event()

    async def __call__(self) -> None:
        self.runs += 1
        if self.error is not None:
            raise self.error
        self.running.set()
        await asyncio.Event().wait()


async def test_a_task_that_fails_again_and_again_is_beyond_its_bound_until_it_has_worked_for_a_while() -> None:
    metrics, work = Metrics(), Fragile(RuntimeError("always"))
    background = Background(metrics, Backoff(0.01, 0.2))
    background.start("fragile", work)
    await until(lambda: work.runs == 3)
    assert background.beyond_bound() == {}
    assert b'background_failing{task="fragile"} 1.0' in metrics.exposition()[0]
    await until(background.beyond_bound)
    assert work.runs >= 5
    assert background.beyond_bound()["fragile"].startswith("RuntimeError, ")
    work.error = None
    await work.running.wait()
    assert background.beyond_bound()
    await until(lambda: not background.beyond_bound() and not background.ailing())
    assert b'background_failing{task="fragile"} 0.0' in metrics.exposition()[0]
    await background.stop()


async def test_a_task_that_fails_for_too_long_is_beyond_its_bound_however_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sagakit.tasks.FAILING", 0.3)
    background = Background(Metrics(), Backoff(0.2, 0.4))
    work = Fragile(RuntimeError("now and then"))
    background.start("fragile", work)
    await until(background.beyond_bound)
    assert work.runs < 5
    await background.stop()


async def test_what_is_excused_is_shown_and_counts_for_nothing() -> None:
    """A broker that is known to be away is not the fault of who misses it, and a bug is one even then."""
    away = True
    background = Background(
        Metrics(),
        Backoff(0.01, 0.05),
        excused=lambda error: away and isinstance(error, ConnectionError),
    )
    lost, bug = Fragile(ConnectionResetError("lost")), Fragile(KeyError("bug"))
    background.start("lost", lost)
    background.start("bug", bug)
    await until(lambda: lost.runs > 8 and bug.runs > 8)
    assert background.ailing() == {"lost": "ConnectionResetError", "bug": "KeyError"}
    assert background.beyond_bound().keys() == {"bug"}
    away = False
    assert background.beyond_bound().keys() == {"bug"}, "what failed while it was away is not counted afterwards"
    await until(lambda: "lost" in background.beyond_bound())
    away = True
    assert background.beyond_bound().keys() == {"bug"}, "what was noticed a moment later is not counted either"
    await background.stop()


class Panic(BaseException):
    """As a library in another language raises it."""


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Panic()])
async def test_only_stop_ends_a_task(error: BaseException) -> None:
    """A cancellation that leaks out of a library, or its panic, is a failure like any other."""
    background = Background(Metrics(), Backoff(0.01, 5.0))
    work = Fragile(error)
    background.start("fragile", work)
    await until(lambda: work.runs == 2)
    assert background.ailing() == {"fragile": type(error).__name__}
    work.error = None
    await work.running.wait()
    await background.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_task_that_fails_while_it_is_stopped_is_not_started_again() -> None:
    background, runs = Background(Metrics(), Backoff(0.01, 0.01)), 0

    async def fails_at_the_stop() -> None:
        nonlocal runs
        runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            if runs == 1:
                raise OSError("the store is away")

    background.start("fails", fails_at_the_stop)
    await until(lambda: runs == 1)
    async with asyncio.timeout(ENDS):
        await background.stop()
    assert runs == 1

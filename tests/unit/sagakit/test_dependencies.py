"""What a service depends on is asked again and again, whatever the asking comes to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from sagakit.engine.dependencies import Dependencies, is_connection_error
from sagakit.telemetry import Metrics


class Thing:
    """A dependency that answers, refuses (`error`), or is silent for ever (`stuck`: even when cancelled)."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.silent = self.stuck = False
        self.asked = self.at_a_time = 0
        self.released = asyncio.Event()

    async def probe(self) -> None:
        self.asked += 1
        self.at_a_time += 1
        try:
            if self.error is not None:
                raise self.error
            if self.silent:
                await asyncio.Event().wait()
            while self.stuck and not self.released.is_set():
                try:
                    await self.released.wait()
                except asyncio.CancelledError:
                    continue
        finally:
            self.at_a_time -= 1


@asynccontextmanager
async def watched(**things: Thing) -> AsyncIterator[tuple[Dependencies, Metrics]]:
    metrics = Metrics()
    dependencies = Dependencies(metrics, period=0.02, timeout=0.05)
    for name, thing in things.items():
        dependencies.watch(name, thing.probe)
    task = asyncio.create_task(dependencies.run())
    yield dependencies, metrics
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the pauses of what is watched are real time
            await asyncio.sleep(0.005)


async def test_until_it_has_answered_a_thing_counts_as_away() -> None:
    dependencies = Dependencies(Metrics())
    dependencies.watch("kafka", Thing().probe)
    assert dependencies.away() == {"kafka": "not probed yet"}


async def test_what_refuses_is_away_with_its_reason_until_it_answers_again() -> None:
    broker, provider = Thing(), Thing()
    async with watched(kafka=broker, provider=provider) as (dependencies, metrics):
        await until(lambda: not dependencies.away())
        assert b'dependency_up{name="kafka"} 1.0' in metrics.exposition()[0]
        broker.error = ConnectionRefusedError(111, "refused")
        await until(dependencies.away)
        assert dependencies.away() == {"kafka": "ConnectionRefusedError: Connection refused"}
        assert b'dependency_up{name="kafka"} 0.0' in metrics.exposition()[0]
        assert b'dependency_up{name="provider"} 1.0' in metrics.exposition()[0]
        broker.error = None
        await until(lambda: not dependencies.away())


async def test_what_is_silent_is_away_and_holds_no_other_up() -> None:
    broker, provider = Thing(), Thing()
    async with watched(kafka=broker, provider=provider) as (dependencies, _):
        await until(lambda: not dependencies.away())
        broker.silent = True
        await until(dependencies.away)
        assert dependencies.away() == {"kafka": "no answer within 0.05 s"}
        before = provider.asked
        await until(lambda: provider.asked > before + 3)
        assert broker.at_a_time <= 1
        broker.silent = False
        await until(lambda: not dependencies.away())


async def test_a_probe_that_cannot_be_cancelled_is_away_and_not_asked_again() -> None:
    broker = Thing()
    broker.stuck = True
    async with watched(kafka=broker) as (dependencies, _):
        await until(lambda: dependencies.away() == {"kafka": "no answer within 0.05 s"})
        await asyncio.sleep(0.2)
        assert (broker.asked, broker.at_a_time) == (1, 1)
        broker.released.set()
        await until(lambda: not dependencies.away())


class Answered(RuntimeError):
    """As clients of brokers raise them: a code, and words that hold what was sent and to where."""

    code = "NOT_AUTHORIZED"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("postgres://user:password@host went away\nand more"), "RuntimeError"),
        (OSError(111, "refused", "/run/secret-place"), "ConnectionRefusedError: Connection refused"),
        (ConnectionError("https://user:password@10.0.0.7:8005"), "ConnectionError"),
        (Answered("sasl user admin password hunter2"), "Answered (code=NOT_AUTHORIZED)"),
    ],
)
async def test_a_reason_is_the_kind_and_the_code_and_none_of_its_words(error: Exception, told: str) -> None:
    broker = Thing()
    broker.error = error
    async with watched(kafka=broker) as (dependencies, _):
        await until(lambda: dependencies.away().get("kafka") != "not probed yet")
        assert dependencies.away() == {"kafka": told}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (asyncio.IncompleteReadError(b"", 4), True),
        (type("RPCError", (Exception,), {"__module__": "temporalio.service"})(), True),
        (KeyError("bug"), False),
        (RecursionError(), False),
        (RuntimeError("bug"), False),
    ],
)
async def test_a_bug_is_no_connection_error(error: Exception, expected: bool) -> None:
    assert is_connection_error(error) is expected
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = error
    assert is_connection_error(wrapped) is expected

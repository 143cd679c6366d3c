"""What waits for an event can always be stopped, also in the moment in which the event comes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from sagakit.engine.provider_calls import ProviderCaller
from sagakit.engine.relay import Relay
from sagakit.engine.watcher import Watcher
from sagakit.ports import Mode, Store
from sagakit.service import ProviderPort
from sagakit.tasks import Backoff, Comeback, set_within, work_until
from sagakit.telemetry import Metrics
from tests.waits import ENDS


class Empty:
    """A store in which there is nothing."""

    async def lease_due(self, calls: bool, limit: int) -> list[Any]:
        return []

    async def recorded(self, event_ids: object) -> dict[str, Any]:
        return {}


STORE = cast(Store, Empty())


def watcher() -> tuple[Callable[[], Coroutine[Any, Any, None]], asyncio.Event]:
    made = Watcher(STORE, poll=60)
    return made.run, made._new


def relay() -> tuple[Callable[[], Coroutine[Any, Any, None]], asyncio.Event]:
    made = Relay(STORE, cast(Mode, None), Metrics(), poll=60)
    return made.run, made._leases.wake


def caller() -> tuple[Callable[[], Coroutine[Any, Any, None]], asyncio.Event]:
    made = ProviderCaller(cast(ProviderPort, None), STORE, cast(Any, None), cast(Any, None), Metrics(), poll=60)
    return made.run, made._leases.wake


@pytest.mark.parametrize("moment", range(6))
@pytest.mark.parametrize("make", [watcher, relay, caller])
async def test_a_loop_that_is_woken_and_stopped_at_once_ends(
    make: Callable[[], tuple[Callable[[], Coroutine[Any, Any, None]], asyncio.Event]], moment: int
) -> None:
    run, wake = make()
    task = asyncio.create_task(run())
    await asyncio.sleep(0.01)
    wake.set()
    for _ in range(moment):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=ENDS)
    task.cancel()
    assert done, "the cancellation was lost"
    assert task.cancelled()


async def test_the_wait_ends_with_the_event_or_the_time() -> None:
    event = asyncio.Event()
    assert not await set_within(event, 0.01)
    assert not await set_within(event, 0)
    asyncio.get_running_loop().call_later(0.01, event.set)
    assert await set_within(event, 5)
    assert await set_within(event, None)
    assert await set_within(event, 0)


def test_pauses_double_up_to_a_bound_however_many_failures_there_were() -> None:
    backoff = Backoff(0.1, 5.0)
    assert [backoff.pause(n) for n in range(7)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0])
    assert {backoff.pause(n) for n in (20, 1_023, 1_024, 1_000_000)} == {5.0}
    assert Backoff(0.5, 0.5).pause(0) == 0.5


async def _answer(error: Exception | None = None) -> str:
    if error is not None:
        raise error
    return "here"


@pytest.mark.parametrize(
    ("answers", "back"),
    [
        ([None, None], False),
        ([OSError(), None], False),  # for less than the patience
        ([OSError(), 0.1, OSError(), None], True),
        ([OSError(), 0.1, None], True),
        ([TimeoutError(), 0.1, TimeoutError(), None], False),  # silence is no refusal
        ([OSError(), None, 0.1, None], False),
    ],
)
async def test_what_refused_for_long_and_answers_is_back(answers: list[Exception | float | None], back: bool) -> None:
    comeback = Comeback(0.05)
    for answer in answers:
        if isinstance(answer, float):
            await asyncio.sleep(answer)
        elif answer is None:
            assert await comeback.watch(_answer()) == "here"
        else:
            with pytest.raises(type(answer)):
                await comeback.watch(_answer(answer))
    assert comeback.event.is_set() == back


@pytest.mark.parametrize("how", ["event", "cancelled", "error", "never stops"])
async def test_work_goes_on_until_it_is_stopped(how: str, caplog: pytest.LogCaptureFixture) -> None:
    event, told, ends = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        if how == "error":
            raise KeyError(how)
        await ends.wait()

    async def stop() -> None:
        told.set()
        await asyncio.Event().wait() if how == "never stops" else ends.set()

    running = asyncio.create_task(work_until(event, work(), stop, 0.05))
    await asyncio.sleep(0.01)
    if how == "cancelled":
        running.cancel()
    event.set()
    expected = {"cancelled": asyncio.CancelledError, "error": KeyError}.get(how)
    if expected is None:
        await running
    else:
        with pytest.raises(expected):
            await running
    assert told.is_set() == (how != "error")
    assert ("did not stop" in caplog.text) == (how == "never stops")
    ends.set()

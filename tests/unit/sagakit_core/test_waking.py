"""No loop sleeps over what came while it looked: each has a store that is told of more in the middle of a call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from sagakit.engine.provider_calls import ProviderCaller
from sagakit.engine.relay import Relay
from sagakit.engine.watcher import Watcher
from sagakit.message import Command, Event
from sagakit.ports import CALLS, Mode, OutboxRow, Store
from sagakit.provider import OutcomeUnknown, ProviderCall, ProviderOutcome
from sagakit.tasks import Backoff
from sagakit.telemetry import Metrics
from tests.unit.sagakit_core.toy import SERVICE, Counted

LONG = 60.0  # the poll: whoever has to wait for it has lost a wake-up
SOON = 5.0


async def _nothing() -> None:
    pass


@dataclass
class Busy:
    """A store in whose calls other things happen. `during`: what, by the name of the call, once."""

    during: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    due: list[OutboxRow] = field(default_factory=list)
    events: dict[str, Event] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    postponed: list[tuple[str, float]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def lease_due(self, calls: bool, limit: int) -> Sequence[OutboxRow]:
        taken, self.due = self.due, []
        await self.during.pop("take", _nothing)()
        return taken

    async def recorded(self, event_ids: Sequence[str]) -> dict[str, Event]:
        found = {key: self.events[key] for key in event_ids if key in self.events}
        await self.during.pop("recorded", _nothing)()
        return found

    async def delete(self, rows: Sequence[OutboxRow]) -> None:
        self.ended |= {row.id for row in rows}
        self.changed.set()

    async def postpone(self, rows: Sequence[OutboxRow], seconds: float) -> None:
        self.postponed += [(row.id, seconds) for row in rows]
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


class Sink:
    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        pass


@asynccontextmanager
async def running(run: Callable[[], Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def row(name: str, channel: str = "events") -> OutboxRow:
    return OutboxRow(
        name, channel, name, "Counted", msgspec.json.encode(ProviderCall(name, "shop", "buy", {"thing": name}))
    )


async def test_the_relay_publishes_at_once_what_is_offered_while_it_asks_for_due_rows() -> None:
    store = Busy()
    relay = Relay(cast(Store, store), cast(Mode, Sink()), Metrics(), poll=LONG)

    async def offer() -> None:
        relay.offer([row("a")])

    store.during["take"] = offer
    async with running(relay.run):
        await store.until(lambda: store.ended == {"a"})


class Shop:
    """A provider; `failing` once."""

    def __init__(self, failing: bool = False) -> None:
        self.failing = failing

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        if self.failing:
            self.failing = False
            raise OutcomeUnknown("lost")
        return ProviderOutcome("ok")


class Door:
    async def do(self, command: Command, cause: str | None = None, traceparent: str | None = None) -> None:
        pass


def caller(store: Busy, shop: Shop) -> ProviderCaller:
    assert SERVICE.provider is not None
    return ProviderCaller(
        SERVICE.provider,
        cast(Store, store),
        cast(Any, shop),
        cast(Any, Door()),
        Metrics(),
        poll=LONG,
        backoff=Backoff(0.01, 0.01),
    )


async def test_the_caller_makes_at_once_the_calls_that_are_offered_while_it_asks_for_due_ones() -> None:
    store = Busy()
    made = caller(store, Shop())

    async def offer() -> None:
        made.offer([row("a/buy", CALLS)])

    store.during["take"] = offer
    async with running(made.run):
        await store.until(lambda: store.ended == {"a/buy"})


DEEP = b'{"key":"bad","provider":"shop","operation":"buy","payload":{"a":' + b"[" * 2_000 + b"]" * 2_000 + b"}}"


@pytest.mark.parametrize("body", [b"", b"[]", DEEP], ids=["empty", "list", "deep"])
async def test_a_call_that_cannot_be_read_counts_its_attempts_and_keeps_no_other(body: bytes) -> None:
    store = Busy()
    made = caller(store, Shop())
    async with running(made.run):
        made.offer([replace(row("bad", CALLS), body=body), row("a/buy", CALLS)])
        await store.until(lambda: store.ended == {"a/buy"} and store.postponed == [("bad", 0.01)])


async def test_the_caller_does_not_forget_when_a_call_comes_due_that_is_put_off_while_it_asks() -> None:
    store = Busy()
    made = caller(store, Shop(failing=True))

    async def fail() -> None:
        await store.until(lambda: bool(store.postponed))
        await asyncio.sleep(0)
        store.due = [row("a/buy", CALLS)]

    store.during["take"] = fail
    async with running(made.run):
        made.offer([row("a/buy", CALLS)])
        await store.until(lambda: store.ended == {"a/buy"})


async def test_the_watcher_sees_an_event_that_is_asked_for_while_it_looks_for_another() -> None:
    store = Busy(events={"b/Counted": Counted("b", 1)})
    watcher = Watcher(cast(Store, store), poll=LONG)
    second: asyncio.Future[asyncio.Task[Event | None]] = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        second.set_result(asyncio.create_task(watcher.wait(["b/Counted"], SOON)))
        await asyncio.sleep(0)

    store.during["recorded"] = ask
    async with running(watcher.run):
        first = asyncio.create_task(watcher.wait(["a/Counted"], SOON))
        async with asyncio.timeout(SOON):
            assert await (await second) == Counted("b", 1)
        first.cancel()


async def test_new_waiters_do_not_keep_the_watcher_from_its_poll() -> None:
    """Others ask all the time; what another process records is found nevertheless."""
    store = Busy()
    watcher = Watcher(cast(Store, store), poll=0.02)
    asked: set[asyncio.Task[Event | None]] = set()
    left, begun = 3000, asyncio.Event()

    async def ask() -> None:
        nonlocal left
        left -= 1
        begun.set()
        if left > 0:
            asked.add(asyncio.create_task(watcher.wait([f"{left}/Counted"], SOON)))
            store.during["recorded"] = ask
            await asyncio.sleep(0)

    store.during["recorded"] = ask
    async with running(watcher.run):
        waiter = asyncio.create_task(watcher.wait(["a/Counted"], SOON))
        await begun.wait()
        store.events["a/Counted"] = Counted("a", 1)
        assert await waiter == Counted("a", 1)
        assert left > 0, "only when nobody asked any more"
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

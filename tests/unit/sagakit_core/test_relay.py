"""What the relay does about rows that cannot be published, and about a broker to which nothing can be."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import pytest
from msgspec.structs import replace

from sagakit.engine.relay import HOLD_MAX, Relay
from sagakit.ports import Mode, OutboxRow, RowsLocked, Store, StoreUnavailable
from sagakit.tasks import USUAL, Backoff
from sagakit.telemetry import Metrics
from tests.waits import ENDS


@dataclass
class Rows:
    """An outbox in memory: when each row comes due, by the loop's clock."""

    rows: dict[str, OutboxRow] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    postponed: list[tuple[str, float]] = field(default_factory=list)

    def add(self, *names: str) -> list[OutboxRow]:
        rows = [OutboxRow(name, "events", name, "Counted", b"{}") for name in names]
        self.rows |= {row.id: row for row in rows}
        self.due |= dict.fromkeys(names, asyncio.get_running_loop().time() + 60)
        return rows

    async def lease_due(self, calls: bool, limit: int) -> Sequence[OutboxRow]:
        now = asyncio.get_running_loop().time()
        taken = [row for key, row in self.rows.items() if self.due[key] < now][:limit]
        self.due |= {row.id: now + 60 for row in taken}
        return taken

    async def delete(self, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            self.rows.pop(row.id, None)
        self.changed.set()

    async def postpone(self, rows: Sequence[OutboxRow], seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        for row in rows:
            stored = self.rows[row.id]
            self.rows[row.id] = replace(stored, attempts=stored.attempts + 1)
            self.due[row.id] = now + seconds
            self.postponed.append((row.id, seconds))
        self.changed.set()

    async def until(self, holds: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Broker:
    """Refuses `bad` rows, or everything while it is `down`, or answers nothing while it `hangs`."""

    bad: set[str] = field(default_factory=set)
    down: bool = False
    hangs: bool = False
    tries: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    got: Counter[str] = field(default_factory=Counter)

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        self.tries.append((time.monotonic(), tuple(row.id for row in rows)))
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise ConnectionError("no broker")
        if wrong := self.bad.intersection(row.id for row in rows):
            raise ValueError(f"too large: {sorted(wrong)}")
        self.got.update(row.id for row in rows)

    @property
    def sizes(self) -> list[int]:
        return [len(rows) for _, rows in self.tries]

    @property
    def gaps(self) -> list[float]:
        times = [at for at, _ in self.tries]
        return [later - earlier for earlier, later in pairwise(times)]


@asynccontextmanager
async def relay(
    store: Rows, broker: Broker, *, gives_up: float = 10, backoff: Backoff = USUAL, poll: float = 0.5
) -> AsyncIterator[Relay]:
    made = Relay(
        cast(Store, store), cast(Mode, broker), Metrics(), lease=60, timeout=gives_up, backoff=backoff, poll=poll
    )
    task = asyncio.create_task(made.run())
    try:
        yield made
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def names(count: int) -> list[str]:
    return [f"row{number:03}" for number in range(count)]


@pytest.mark.parametrize(
    ("bad", "seconds"),
    [(["row000"], 1), (["row037"], 1), (["row099"], 1), (["row040", "row041"], 1), (names(100)[20:30], 3)],
)
async def test_rows_that_cannot_be_published_do_not_keep_their_neighbours(bad: list[str], seconds: float) -> None:
    store, broker = Rows(), Broker(set(bad))
    async with relay(store, broker) as made:
        began = time.monotonic()
        made.offer(store.add(*names(100)))
        await store.until(lambda: set(store.rows) == set(bad))
        assert time.monotonic() - began < seconds
        assert broker.got == Counter(set(names(100)) - set(bad))


async def test_the_culprit_is_postponed_ever_longer_by_itself_and_published_when_it_can_be() -> None:
    store, broker = Rows(), Broker({"row007"})
    async with relay(store, broker, backoff=Backoff(0.02, 0.1)) as made:
        made.offer(store.add(*names(20)))
        await store.until(lambda: len(store.postponed) >= 5)
        assert {name for name, _ in store.postponed} == {"row007"}
        assert [pause for _, pause in store.postponed[:5]] == pytest.approx([0.02, 0.04, 0.08, 0.1, 0.1])
        assert store.rows["row007"].attempts >= 5
        broker.bad.clear()
        await store.until(lambda: not store.rows)


async def test_what_is_written_beside_a_known_culprit_goes_in_one_batch_without_it() -> None:
    store, broker = Rows(), Broker({"row007"})
    async with relay(store, broker, backoff=Backoff(0.02, 0.1)) as made:
        made.offer(store.add(*names(20)))
        await store.until(lambda: set(store.rows) == {"row007"})
        tried = len(broker.tries)
        made.offer([*store.add("a", "b"), store.rows["row007"], *store.add("c")])
        await store.until(lambda: set(store.rows) == {"row007"})
        batches = [rows for _, rows in broker.tries[tried:] if rows != ("row007",)]
        assert batches == [("a", "b", "c")]


async def test_an_error_is_logged_when_its_pause_grows_and_not_at_every_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    store, broker = Rows(), Broker({"row000"})
    async with relay(store, broker, backoff=Backoff(0.01, 0.04)) as made:
        made.offer(store.add("row000"))
        await store.until(lambda: len(store.postponed) >= 10)
    assert [record.levelname for record in caplog.records if "row000" in record.getMessage()] == ["WARNING"] * 3


@pytest.mark.thorough
@pytest.mark.parametrize("outage", ["down", "hangs"])
async def test_an_outage_is_met_with_one_try_of_one_row_at_a_time(
    outage: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    store, broker = Rows(), Broker(down=outage == "down", hangs=outage == "hangs")
    async with relay(store, broker, gives_up=0.05, backoff=Backoff(0.1, 5.0)) as made:
        made.offer(store.add(*names(500)))
        await store.until(lambda: len(broker.tries) >= 3)
        made.offer(store.add("later"))
        await store.until(lambda: len(broker.tries) >= 8 and len(store.postponed) >= 7)
        assert broker.sizes[:8] == [500, 1, 1, 1, 1, 1, 1, 1]
        assert all(gap >= pause for gap, pause in zip(broker.gaps[3:7], (0.1, 0.2, 0.4, HOLD_MAX), strict=True))
        assert len(caplog.records) <= 5
        broker.down = broker.hangs = False
        ended = time.monotonic()
        await store.until(lambda: len(store.rows) <= 8)  # those that were tried come due by their own backoff
        assert time.monotonic() - ended < 1
        await store.until(lambda: not store.rows)
        assert max(broker.sizes[8:]) > 100


async def test_a_lone_culprit_holds_no_newcomer_up() -> None:
    store, broker = Rows(), Broker({"row000"})
    async with relay(store, broker, backoff=Backoff(0.05, 60)) as made:
        made.offer(store.add("row000"))
        await store.until(lambda: len(store.postponed) >= 4)
        began = time.monotonic()
        made.offer(store.add("new"))
        await store.until(lambda: set(store.rows) == {"row000"}, 1)
        assert time.monotonic() - began < 1


async def test_an_outage_of_any_length_is_over_when_it_is_over() -> None:
    store, broker = Rows(), Broker()
    async with relay(store, broker) as made:
        (row,) = store.add("old")
        store.rows["old"] = replace(row, attempts=5_000)
        made.offer([store.rows["old"]])
        await store.until(lambda: not store.rows)
        broker.down = True
        (row,) = store.add("older")
        store.rows["older"] = replace(row, attempts=1_000_000)
        made.offer([store.rows["older"]])
        await store.until(lambda: bool(store.postponed))
        assert store.postponed == [("older", 5.0)]


async def test_what_was_published_is_deleted_together_at_the_latest_when_the_relay_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sagakit.engine.relay.TOGETHER", 30.0)
    store, broker = Rows(), Broker()
    async with relay(store, broker) as made:
        async with asyncio.timeout(10):
            for name in names(5):
                made.offer(store.add(name))
                while not broker.got[name]:  # noqa: ASYNC110 - the broker tells nobody
                    await asyncio.sleep(0)
        assert len(store.rows) == 5
        assert len(broker.tries) == 5
    assert store.rows == {}


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RowsLocked()])
async def test_a_store_that_fails_at_the_stop_does_not_keep_the_relay_from_stopping(error: Exception) -> None:
    class Away(Rows):
        async def delete(self, rows: Sequence[OutboxRow]) -> None:
            if not self.changed.is_set():
                self.changed.set()
                await goes.wait()
            raise error

    store, broker, goes = Away(), Broker(), asyncio.Event()
    made = Relay(cast(Store, store), cast(Mode, broker), Metrics(), lease=60)
    task = asyncio.create_task(made.run())
    made.offer(store.add("row"))
    async with asyncio.timeout(ENDS):
        await store.changed.wait()
    task.cancel()
    asyncio.get_running_loop().call_soon(goes.set)
    done, _ = await asyncio.wait({task}, timeout=ENDS)
    task.cancel()
    assert done, "the cancellation was lost"
    assert task.cancelled()

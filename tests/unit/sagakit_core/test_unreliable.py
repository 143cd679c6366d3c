"""Messages delivered twice, late and out of order: what goes to the mode, when, and what is left when all is off."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from sagakit.modes.unreliable import KINDS, Kind, MessageFault, MessageFaults, UnreliableMode
from sagakit.ports import OutboxRow

ROWS = [OutboxRow(f"o{number}/Made", "events", f"o{number}", "Made", b"{}") for number in range(8)]


class FakeMode:
    """Remembers what was published, one list a call; refuses while `refuses` says so."""

    def __init__(self) -> None:
        self.published: list[list[OutboxRow]] = []
        self.refuses = 0
        self.closed = False
        self.together = self.at_once = 0
        self.changed = asyncio.Event()

    def outgoing(self, event: Any, *, again: bool = False) -> Sequence[tuple[str, Any]]:
        return ()

    async def start(self, inlet: Any) -> Any: ...

    async def run(self) -> None: ...

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        self.together += 1
        self.at_once = max(self.at_once, self.together)
        await asyncio.sleep(0)
        self.together -= 1
        if self.refuses:
            self.refuses -= 1
            raise ConnectionError("away")
        self.published.append(list(rows))
        self.changed.set()

    async def close(self) -> None:
        self.closed = True

    def ids(self) -> list[str]:
        return [row.id for rows in self.published for row in rows]


def unreliable(fault: MessageFault | None, seed: int = 7) -> tuple[UnreliableMode, FakeMode, MessageFaults]:
    faults, inner = MessageFaults(), FakeMode()
    faults.current = fault
    return UnreliableMode(inner, faults, random.Random(seed)), inner, faults


async def until(inner: FakeMode, messages: int) -> None:
    async with asyncio.timeout(5):
        while len(inner.ids()) < messages:
            inner.changed.clear()
            await inner.changed.wait()


async def test_without_a_fault_rows_are_published_as_they_are() -> None:
    mode, inner, faults = unreliable(None)
    await mode.publish(ROWS)
    assert inner.published == [ROWS]
    assert faults.fired == {}


async def test_a_duplicate_is_the_same_message_again() -> None:
    mode, inner, faults = unreliable(MessageFault("duplicated", seconds=0.05))
    await mode.publish(ROWS)
    assert inner.published[0] == ROWS
    await until(inner, 2 * len(ROWS))
    assert sorted(inner.ids()) == sorted(2 * [row.id for row in ROWS])
    assert faults.fired == {"duplicated": len(ROWS)}


async def test_a_delayed_message_lets_those_behind_it_pass() -> None:
    mode, inner, faults = unreliable(MessageFault("delayed", seconds=0.05))
    await mode.publish(ROWS[:1])
    faults.current = None
    await mode.publish(ROWS[1:])
    assert inner.published == [ROWS[1:]]
    await until(inner, len(ROWS))
    assert inner.published[-1] == ROWS[:1]


async def test_reordered_messages_all_arrive_in_another_order() -> None:
    mode, inner, _ = unreliable(MessageFault("reordered", seconds=0.1))
    await mode.publish(ROWS)
    await until(inner, len(ROWS))
    assert sorted(inner.ids()) == [row.id for row in ROWS]
    assert inner.ids() != [row.id for row in ROWS]


async def test_a_concurrent_copy_goes_out_beside_the_message_under_another_key() -> None:
    mode, inner, _ = unreliable(MessageFault("concurrent"))
    await mode.publish(ROWS)
    original, copies = inner.published
    assert inner.at_once == 2
    assert original == ROWS
    assert [(row.id, row.body) for row in copies] == [(row.id, row.body) for row in ROWS]
    assert not {row.key for row in copies} & {row.key for row in ROWS}


async def test_a_share_of_the_messages_is_struck() -> None:
    mode, inner, faults = unreliable(MessageFault("duplicated", share=0.5, seconds=0.01))
    await mode.publish(ROWS)
    struck = faults.fired["duplicated"]
    assert 0 < struck < len(ROWS)
    await until(inner, len(ROWS) + struck)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_the_mode_refuses_of_what_goes_at_once_is_raised(kind: Kind) -> None:
    mode, inner, _ = unreliable(MessageFault(kind, share=0.5, seconds=0.01))
    inner.refuses = 1
    with pytest.raises(ConnectionError):
        await mode.publish(ROWS)
    await mode.close()


async def test_what_is_held_back_is_tried_until_the_mode_takes_it() -> None:
    mode, inner, _ = unreliable(MessageFault("delayed", seconds=0.0))
    inner.refuses = 2
    await mode.publish(ROWS[:1])
    await until(inner, 1)
    assert inner.published == [ROWS[:1]]


async def test_what_is_held_back_goes_out_before_the_mode_is_closed() -> None:
    mode, inner, _ = unreliable(MessageFault("delayed", seconds=60))
    await mode.publish(ROWS)
    assert not inner.published
    await mode.close()
    assert sorted(inner.ids()) == [row.id for row in ROWS]
    assert inner.closed


async def test_a_mode_that_takes_nothing_more_is_closed_in_time() -> None:
    mode, inner, _ = unreliable(MessageFault("delayed", seconds=60))
    await mode.publish(ROWS)
    inner.refuses = 1000
    async with asyncio.timeout(5):
        await mode.close()
    assert inner.closed

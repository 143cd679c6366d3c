"""Message faults for tests: messages are delivered twice, late, out of order, or to two consumers at the same time.

`UnreliableMode` wraps the real mode only with FAULT_INJECTION=on, and changes nothing until `/faults` sets a fault.
Messages held back are in memory: they are lost when the process dies, as with a broker that forgets, and are sent again
when the order is nudged.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from msgspec.structs import replace

from sagakit.ports import Mode, OutboxRow, Probed
from sagakit.tasks import USUAL, set_within

log = logging.getLogger(__name__)

PUBLISH: Final = 5.0  # seconds for one attempt
FLUSH: Final = 3.0  # seconds to publish all that is held back when the process stops
HELD_MAX: Final = 10_000  # messages held back; further ones are published without a fault

Kind = Literal["duplicated", "reordered", "delayed", "concurrent"]
KINDS: Final[tuple[Kind, ...]] = ("duplicated", "reordered", "delayed", "concurrent")


@dataclass(frozen=True, slots=True)
class MessageFault:
    """What happens to a `share` (0 to 1) of the messages that this process publishes.

    duplicated: a copy follows within `seconds`. delayed: the message is published `seconds` later. reordered: it is
    published within `seconds`, so that others overtake it. concurrent: a copy under another key is published at the
    same time, so that it goes to another partition and, with replicas, to another consumer.
    """

    kind: Kind
    share: float = 1.0
    seconds: float = 2.0


class MessageFaults:
    """The fault that is set, if any, and how many messages each kind has affected since this process began."""

    def __init__(self) -> None:
        self.current: MessageFault | None = None
        self.fired: dict[str, int] = {}

    def count(self, kind: Kind, times: int) -> None:
        """Add to the number of messages that this kind of fault has affected."""
        if times:
            self.fired[kind] = self.fired.get(kind, 0) + times


message_faults: Final = MessageFaults()


class UnreliableMode:
    """A mode whose `publish` applies the fault that is set; everything else is the wrapped mode's own."""

    def __init__(self, mode: Mode, faults: MessageFaults = message_faults, dice: random.Random | None = None) -> None:
        self._mode, self._faults, self._dice = mode, faults, dice or random.Random()
        self._closing = asyncio.Event()
        self._held: set[asyncio.Task[None]] = set()
        self.outgoing, self.start, self.run = mode.outgoing, mode.start, mode.run
        self.lag = getattr(mode, "lag", None)
        if isinstance(mode, Probed):
            self.probe = mode.probe

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """As Mode.publish, except that messages held back are published after it has returned."""
        fault = self._faults.current
        if fault is None:
            await self._mode.publish(rows)
            return
        affected = [row for row in rows if self._dice.random() < fault.share]
        if fault.kind == "concurrent":
            await self._publish_concurrently(rows, [replace(row, key=f"{row.key}+") for row in affected])
        elif len(self._held) + len(affected) > HELD_MAX:
            affected = []
            await self._mode.publish(rows)
        else:
            held_ids = {row.id for row in affected} if fault.kind != "duplicated" else set()
            if at_once := [row for row in rows if row.id not in held_ids]:
                await self._mode.publish(at_once)
            for row in affected:
                delayed = fault.kind == "delayed"
                self._hold(row, fault.seconds if delayed else self._dice.uniform(0, fault.seconds))
        self._faults.count(fault.kind, len(affected))

    async def close(self) -> None:
        """Publish the messages held back, as far as FLUSH seconds allow, then close the mode."""
        self._closing.set()
        if self._held:
            _, late = await asyncio.wait(self._held, timeout=FLUSH)
            for task in late:
                task.cancel()
        await self._mode.close()

    async def _publish_concurrently(self, rows: Sequence[OutboxRow], copies: Sequence[OutboxRow]) -> None:
        both = (self._mode.publish(rows), *([self._mode.publish(copies)] if copies else []))
        original, *_ = await asyncio.gather(*both, return_exceptions=True)
        if original is not None:
            raise original

    def _hold(self, row: OutboxRow, seconds: float) -> None:
        task = asyncio.create_task(self._publish_later(row, seconds))
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    async def _publish_later(self, row: OutboxRow, seconds: float) -> None:
        await set_within(self._closing, seconds)
        failures = 0
        while True:
            try:
                async with asyncio.timeout(PUBLISH):
                    await self._mode.publish([row])
                return
            except Exception as error:
                if self._closing.is_set():
                    log.warning("%s was held back and is lost: %r", row.id, error)
                    return
            await set_within(self._closing, USUAL.pause(failures))
            failures += 1

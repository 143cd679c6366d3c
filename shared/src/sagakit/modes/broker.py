"""A mode over a broker: any style on any transport.

A delivery is acknowledged after the commit of what it asked for, never before. While the store is down nothing is
received, and what is in hand waits. Whatever one message raises, while it is read, in a reaction or at the door, is
that message's fault: it is written down with its cause, so that an operator finds it, and goes to the broker's
dead-letter place, and its neighbours go on. A message whose rows are locked is not at fault, and comes again.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sagakit import envelope
from sagakit.faults import failpoints
from sagakit.message import Event, Message, UnknownMessage
from sagakit.modes.styles import Style
from sagakit.ports import (
    Delivery,
    Failure,
    Inlet,
    OutboxRow,
    Probed,
    Redeliver,
    RowsLocked,
    StoreUnavailable,
    Transport,
)
from sagakit.tasks import finish_then_cancel
from sagakit.wording import stated
from sagakit.work import Item

log = logging.getLogger(__name__)

CAUSE: Final = 1000  # characters of a cause; a stranger's type or id may be as long as its message


class BrokerMode:
    """A Mode made of a style and a transport. `channels`: those that may be published to under this mode."""

    def __init__(self, style: Style, transport: Transport, channels: frozenset[str], attempts: int = 5) -> None:
        self._style, self._transport, self._channels = style, transport, channels
        self._attempts = attempts
        self._inlet: Inlet | None = None

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        return self._style.outgoing(event, again=again)

    async def start(self, inlet: Inlet) -> Redeliver:
        """As Mode.start."""
        self._inlet = inlet
        await self._transport.start()
        return self._redeliver

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        known = [row for row in rows if row.channel in self._channels]
        if len(known) < len(rows):
            log.info("%d rows of another mode dropped, to be derived again", len(rows) - len(known))
        if known:
            await self._transport.publish(known)

    async def run(self) -> None:
        while True:
            deliveries = await self._transport.receive()
            if not deliveries:
                continue
            await finish_then_cancel(self._handle(deliveries))

    async def close(self) -> None:
        await self._transport.close()

    async def probe(self) -> None:
        """Raises when the broker does not answer."""
        if isinstance(self._transport, Probed):
            await self._transport.probe()

    async def _redeliver(self, body: bytes) -> str | None:
        """Handle a dead letter once more; None when it went through, else why it did not."""
        try:
            item, _ = self._read(Delivery(body))
        except Exception as error:
            return cause_of(error)
        if item is None:
            return None
        (answer,) = await self._ask([item])
        return cause_of(answer) if isinstance(answer, BaseException) else None

    def _read(self, delivery: Delivery) -> tuple[Item | None, str]:
        """What the delivery asks of the door, and its subject; whatever it raises is that delivery's fault."""
        assert self._inlet is not None
        if delivery.broken is not None:
            raise UnknownMessage(delivery.broken)
        read = envelope.decode(delivery.body, self._inlet.service.wire)
        return self._style.accept(read), read.message.subject

    async def _ask(self, items: Sequence[Item]) -> Sequence[Event | BaseException | None]:
        """The door's answers; an item over which asking itself raises is asked for alone, and is its own fault."""
        assert self._inlet is not None
        try:
            return await self._inlet.do_until_stored(items)
        except Exception as error:
            if len(items) == 1:
                return [error]
        return [answer for item in items for answer in await self._ask([item])]

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        done: list[Delivery] = []
        failed: list[tuple[Failure, str | None]] = []
        items: list[Item] = []
        carried: list[tuple[Delivery, str]] = []
        for delivery in deliveries:
            try:
                item, subject = self._read(delivery)
            except Exception as error:
                failed.append((Failure(delivery, cause_of(error), poison=True), None))
                continue
            if item is None:
                done.append(delivery)
            else:
                items.append(item)
                carried.append((delivery, subject))
        for (delivery, subject), answer in zip(carried, await self._ask(items) if items else [], strict=True):
            if not isinstance(answer, BaseException):
                done.append(delivery)
            elif isinstance(answer, Exception) and not isinstance(answer, StoreUnavailable):
                counts = not isinstance(answer, RowsLocked)
                failed.append((Failure(delivery, cause_of(answer), poison=False, counts=counts), subject))
        failures = [await self._give_up(*one) for one in failed]
        await failpoints.pass_by("before-ack")
        await self._transport.settle(done, failures)

    async def _give_up(self, failure: Failure, subject: str | None) -> Failure:
        """Write it down if it is worn out or hopeless. What cannot be written down comes again after a pause."""
        assert self._inlet is not None
        if failure.counts and (failure.poison or failure.delivery.attempt >= self._attempts):
            try:
                await self._inlet.dead_letter(failure.delivery.body, failure.cause, subject)
            except Exception as error:
                log.error("a dead letter could not be written, it comes again: %r", error)
                return replace(failure, poison=False, counts=False)
        return failure


def cause_of(error: BaseException) -> str:
    """Why, in a few words that any store and any broker can carry."""
    return stated(error, placed=True).encode(errors="replace").decode()[:CAUSE].replace("\0", "?")

"""A mode over a message broker: any style on any transport.

A delivery is acknowledged after the commit of what it asked for, never before. While the store is unavailable nothing
is received, and what was received waits.

This module decides when a message is given up; transports only carry the decision out:

- A message that cannot be read, or that its reaction cannot handle, is a dead letter at once.
- A message whose handler fails is delivered again, and is a dead letter after `attempts` deliveries.
- A message whose rows are locked is not at fault: it is delivered again as the same attempt, however long that takes.

A dead letter is written down in the service's own database first, so that an operator finds it, and goes to the
broker's dead-letter place then. Its neighbours are handled as if nothing had happened.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sagakit import envelope
from sagakit.faults import failpoints
from sagakit.message import Event, Message, UnknownMessage
from sagakit.modes.failures import cause_of, redeliver
from sagakit.modes.styles import Style
from sagakit.ports import (
    DeadDelivery,
    Delivery,
    Inlet,
    OutboxRow,
    Probed,
    Redeliver,
    Retry,
    RowsLocked,
    StoreUnavailable,
    Transport,
)
from sagakit.tasks import finish_then_cancel
from sagakit.work import Item

log = logging.getLogger(__name__)

LAG_COUNTS: Final = 15.0  # seconds for which the lag of a batch is shown


@dataclass(slots=True)
class _Outcome:
    """What is to become of the deliveries of one batch; `exhausted` also names their subjects, where known."""

    done: list[Delivery] = field(default_factory=list)
    retry: list[Retry] = field(default_factory=list)
    exhausted: list[tuple[DeadDelivery, str | None]] = field(default_factory=list)

    def add(self, delivery: Delivery, subject: str, answer: Event | BaseException | None, attempts: int) -> None:
        match answer:
            case StoreUnavailable():
                pass  # the service is stopping: the delivery stays unsettled, and comes again
            case RowsLocked():
                self.retry.append(Retry(delivery, counts=False))
            case Exception() if delivery.attempt < attempts:
                self.retry.append(Retry(delivery))
            case Exception():
                self.exhausted.append((DeadDelivery(delivery, cause_of(answer)), subject))
            case BaseException():
                pass  # a cancellation: as above
            case _:
                self.done.append(delivery)


class BrokerMode:
    """A Mode made of a style and a transport.

    `channels` are those of this mode: rows for other channels are not published. `attempts` is DELIVERY_ATTEMPTS.
    """

    def __init__(self, style: Style, transport: Transport, channels: frozenset[str], attempts: int = 5) -> None:
        self._style, self._transport, self._channels = style, transport, channels
        self._attempts = attempts
        self._inlet: Inlet | None = None
        self._lag = (0.0, 0.0)  # of the last batch: until when it counts, by a monotonic clock, and its seconds

    def lag(self) -> float:
        """Seconds between the sending and the receiving of the last batch's first message; 0 after a pause."""
        until, seconds = self._lag
        return seconds if time.monotonic() < until else 0.0

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        """As Mode.outgoing: what the style makes of the event."""
        return self._style.outgoing(event, again=again)

    async def start(self, inlet: Inlet) -> Redeliver:
        """As Mode.start."""
        self._inlet = inlet
        await self._transport.start()
        return partial(redeliver, inlet, self._style.accept)

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """As Mode.publish."""
        own = [row for row in rows if row.channel in self._channels]
        if len(own) < len(rows):
            log.info("%d rows of another mode dropped, to be derived again", len(rows) - len(own))
        if own:
            await self._transport.publish(own)

    async def run(self) -> None:
        """Receive and handle batches until cancelled; the batch in hand is finished first."""
        while True:
            deliveries = await self._transport.receive()
            if not deliveries:
                continue
            await finish_then_cancel(self._handle(deliveries))

    async def close(self) -> None:
        """Disconnect from the broker."""
        await self._transport.close()

    async def probe(self) -> None:
        """Raise unless the broker answers."""
        if isinstance(self._transport, Probed):
            await self._transport.probe()

    def _read(self, delivery: Delivery) -> Item | None:
        """What the delivery asks of the service; None if nothing. Any error is the delivery's own fault.

        Raises:
            UnknownMessage: The transport, or this service, cannot read the message.
        """
        assert self._inlet is not None
        if delivery.broken is not None:
            raise UnknownMessage(delivery.broken)
        return self._style.accept(envelope.decode(delivery.body, self._inlet.service.wire))

    async def _ask(self, items: Sequence[Item]) -> Sequence[Event | BaseException | None]:
        """The answer to each item. Where asking itself raises, each item is asked for alone, and is its own fault."""
        assert self._inlet is not None
        if not items:
            return []
        try:
            return await self._inlet.do_until_stored(items)
        except Exception as error:
            if len(items) == 1:
                return [error]
        return [answer for item in items for answer in await self._ask([item])]

    def _measure(self, first: Delivery) -> None:
        if (sent := envelope.sent_at(first.body)) is not None:
            self._lag = (time.monotonic() + LAG_COUNTS, max(0.0, time.time() - sent.timestamp()))

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        self._measure(deliveries[0])
        outcome = _Outcome()
        asked = list[tuple[Delivery, Item]]()
        for delivery in deliveries:
            try:
                item = self._read(delivery)
            except Exception as error:
                outcome.exhausted.append((DeadDelivery(delivery, cause_of(error)), None))
            else:
                if item is None:
                    outcome.done.append(delivery)
                else:
                    asked.append((delivery, item))
        answers = await self._ask([item for _, item in asked])
        for (delivery, item), answer in zip(asked, answers, strict=True):
            outcome.add(delivery, item.subject, answer, self._attempts)
        dead = await self._write_down(outcome)
        await failpoints.pass_by("before-ack")
        await self._transport.settle(outcome.done, outcome.retry, dead)

    async def _write_down(self, outcome: _Outcome) -> Sequence[DeadDelivery]:
        """The dead letters that are written down now; one that cannot be written is retried."""
        assert self._inlet is not None
        dead = list[DeadDelivery]()
        for letter, subject in outcome.exhausted:
            try:
                await self._inlet.dead_letter(letter.delivery.body, letter.cause, subject)
            except Exception as error:
                log.error("a dead letter could not be written, its message comes again: %r", error)
                outcome.retry.append(Retry(letter.delivery, counts=False))
            else:
                dead.append(letter)
        return dead

"""A mode over a broker: any style on any transport.

A delivery is acknowledged after the commit of what it asked for, never before. While the store is down nothing is
received, and what is in hand waits; a message that no repetition can help is written down with its cause, so that an
operator finds it, and goes to the broker's dead-letter place.
"""

import asyncio
import logging
from collections.abc import Sequence

from sagakit import envelope
from sagakit.door import HandlerFailed, Item
from sagakit.faults import failpoints
from sagakit.message import Event, Message, UnknownMessage
from sagakit.participant import Participant
from sagakit.ports import Delivery, Failure, Outgoing, Probed, RowRejected, Transport
from sagakit.styles import Style

log = logging.getLogger(__name__)


class BrokerMode:
    """A Mode made of a style and a transport. `channels`: those that may be published to under this mode."""

    def __init__(self, style: Style, transport: Transport, channels: frozenset[str], attempts: int = 5) -> None:
        self._style, self._transport, self._channels = style, transport, channels
        self._attempts = attempts
        self._participant: Participant | None = None

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        return self._style.outgoing(event, again=again)

    async def start(self, participant: Participant) -> None:
        self._participant = participant
        participant.readmit = self._readmit
        await self._transport.start()

    async def publish(self, rows: Sequence[Outgoing]) -> None:
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
            task = asyncio.ensure_future(self._handle(deliveries))
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                await task
                raise

    async def close(self) -> None:
        await self._transport.close()

    async def probe(self) -> None:
        """Raises when the broker does not answer."""
        if isinstance(self._transport, Probed):
            await self._transport.probe()

    async def _readmit(self, body: bytes) -> bool:
        """Handle a dead letter once more; whether it went through."""
        assert self._participant is not None
        try:
            item = self._style.accept(envelope.decode(body, self._participant.service.wire))
        except UnknownMessage:
            return False
        answers = await self._participant.insist([item] if item else [])
        return not any(isinstance(answer, BaseException) for answer in answers)

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        assert self._participant is not None
        done: list[Delivery] = []
        failed: list[Failure] = []
        items: list[Item] = []
        carried: list[Delivery] = []
        for delivery in deliveries:
            try:
                item = self._style.accept(envelope.decode(delivery.body, self._participant.service.wire))
            except UnknownMessage as error:
                failed.append(Failure(delivery, str(error), poison=True))
                continue
            if item is None:
                done.append(delivery)
            else:
                items.append(item)
                carried.append(delivery)
        answers = await self._participant.insist(items)
        for delivery, answer in zip(carried, answers, strict=True):
            if isinstance(answer, HandlerFailed | RowRejected):
                failed.append(Failure(delivery, str(answer), poison=False))
            elif not isinstance(answer, BaseException):
                done.append(delivery)
        for failure in failed:
            if failure.poison or failure.delivery.attempt >= self._attempts:
                await self._participant.bury(failure.delivery.body, failure.cause)
        await failpoints.pass_by("before-ack")
        await self._transport.settle(done, failed)

"""Commands that fail again and again, where what carries them never gives up; and what a retry of a letter asks for."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from sagakit import envelope
from sagakit.envelope import Envelope
from sagakit.message import Command
from sagakit.modes.broker import cause_of
from sagakit.modes.styles import Style
from sagakit.ports import Inlet, RowsLocked, StoreUnavailable
from sagakit.service import Service
from sagakit.work import Continue, Execute, Item, Nudge

BUSY: Final = (StoreUnavailable, RowsLocked, TimeoutError)


class Failures:
    """Counts the failures of each command and writes it down once, at the last of DELIVERY_ATTEMPTS."""

    def __init__(self, inlet: Inlet, attempts: int) -> None:
        self._inlet, self._attempts = inlet, attempts
        self._failures: Counter[bytes] = Counter()

    @asynccontextmanager
    async def counted(self, body: Callable[[], bytes], subject: str | None) -> AsyncIterator[None]:
        """Around one attempt; what is BUSY is no failure. While it cannot be written down, it stays one short of it."""
        try:
            yield
        except BUSY:
            raise
        except Exception as error:
            letter = body()
            if self._failures[letter] + 1 == self._attempts:
                cause = f"failed in {self._attempts} attempts, and is tried on: {cause_of(error)}"
                await self._inlet.dead_letter(letter, cause, subject)
            self._failures[letter] += 1
            raise
        if self._failures:
            self._failures.pop(body(), None)


def event_of(service: Service, command: Command, cause: str | None) -> bytes:
    """The command as a CloudEvent, which any mode can send again. Without a time: repeats are the same bytes."""
    parcel = msgspec.json.decode(envelope.encode(Envelope(command, service.name, cause), service.wire))
    del parcel["time"]
    return msgspec.json.encode(parcel)


async def redeliver(inlet: Inlet, style: Style, body: bytes) -> str | None:
    """Handle a message that was a dead letter once more: None if it went through, or why it did not."""
    item: Item | None
    try:
        parcel = envelope.decode(body, inlet.service.wire)
        if isinstance(parcel.message, Command) and type(parcel.message) in inlet.service.commands:
            item = Execute(parcel.message, parcel.cause, parcel.traceparent)
        else:
            item = style.accept(parcel)
    except Exception as error:
        return cause_of(error)
    if isinstance(item, Continue):
        item = Nudge(item.subject)  # whatever its row still owes is sent again
    answers = await inlet.do_until_stored([item] if item else [])
    return next((cause_of(answer) for answer in answers if isinstance(answer, BaseException)), None)

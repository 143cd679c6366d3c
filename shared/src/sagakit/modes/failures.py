"""What all modes do about failures: the cause in words, redelivery of a dead letter, and counting for Temporal."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from sagakit import envelope
from sagakit.envelope import Envelope
from sagakit.message import Command
from sagakit.modes.styles import Style
from sagakit.ports import Inlet, RowsLocked, StoreUnavailable
from sagakit.service import Service
from sagakit.wording import stated
from sagakit.work import Continue, Execute, Item, Nudge

BUSY: Final = (StoreUnavailable, RowsLocked, TimeoutError)
CAUSE: Final = 1000  # characters; a type or an id in a foreign message may be as long as the message


def cause_of(error: BaseException) -> str:
    """Why something failed, in at most CAUSE characters that any store and any broker can carry."""
    return stated(error, placed=True).encode(errors="replace").decode()[:CAUSE].replace("\0", "?")


async def redeliver(inlet: Inlet, accept: Callable[[Envelope], Item | None], body: bytes) -> str | None:
    """Handle the body of a dead letter once more, as `accept` reads it: None if it went through, else why not."""
    try:
        item = accept(envelope.decode(body, inlet.service.wire))
        answers = await inlet.do_until_stored([item] if item else [])
    except Exception as error:
        return cause_of(error)
    return next((cause_of(answer) for answer in answers if isinstance(answer, BaseException)), None)


class Failures:
    """Counts the failures of each command that Temporal retries for ever.

    Failure number `attempts` (DELIVERY_ATTEMPTS) writes the command down as a dead letter, once; Temporal goes on
    retrying it.
    """

    def __init__(self, inlet: Inlet, attempts: int) -> None:
        self._inlet, self._attempts = inlet, attempts
        self._failures: Counter[bytes] = Counter()

    @asynccontextmanager
    async def counted(self, body: Callable[[], bytes], subject: str | None) -> AsyncIterator[None]:
        """Around one attempt at what `body` identifies. An error in BUSY is no failure.

        A dead letter that cannot be written down leaves the count one short, so that the next failure tries again.
        """
        try:
            yield
        except BUSY:
            raise
        except Exception as error:
            letter = body()
            if self._failures[letter] + 1 == self._attempts:
                cause = f"failed in {self._attempts} attempts, and is retried: {cause_of(error)}"
                await self._inlet.dead_letter(letter, cause, subject)
            self._failures[letter] += 1
            raise
        if self._failures:
            self._failures.pop(body(), None)


def event_of(service: Service, command: Command, cause: str | None) -> bytes:
    """The command as a CloudEvent, which any mode can send again; without a time, so that repeats are equal bytes."""
    event = msgspec.json.decode(envelope.encode(Envelope(command, service.name, cause), service.wire))
    del event["time"]
    return msgspec.json.encode(event)


def accept_all(service: Service, style: Style, envelope_: Envelope) -> Item | None:
    """What a dead letter asks for where dead letters may be commands (`event_of`), and workflows continue sagas.

    A command of the service is executed whatever the style; instead of continuing a saga its subject is nudged, so that
    whatever it still owes is sent again.
    """
    if isinstance(envelope_.message, Command) and type(envelope_.message) in service.commands:
        return Execute(envelope_.message, envelope_.cause, envelope_.traceparent)
    item = style.accept(envelope_)
    return Nudge(item.subject, item.traceparent) if isinstance(item, Continue) else item

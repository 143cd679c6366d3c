"""Commands and events, and the ids derived from them.

Every message type occurs at most once per subject, so the id of a message is a function of the message: two parties
that derive it independently derive the same one, and a repeat is never taken for a new message.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from sagakit.wording import Stated

UNREADABLE = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What msgspec raises for bytes that it cannot read: brackets nested a thousand deep are a RecursionError."""


class Message(msgspec.Struct, frozen=True):
    """A message about one subject. Its JSON is its fields in their order."""

    @property
    def subject(self) -> str:
        """The id of what the message is about: an order or a restock."""
        raise NotImplementedError


class Command(Message, frozen=True):
    """Asks one service to do one thing. Named in the imperative."""


class Event(Message, frozen=True):
    """Says that something happened. Named in the past tense, recorded by exactly one service."""


def message_id(message: Message) -> str:
    """The derived id: `{subject}/{MessageName}`."""
    return f"{message.subject}/{type(message).__name__}"


def id_of(subject: str, kind: type[Message]) -> str:
    """The id of the message of that type about that subject."""
    return f"{subject}/{kind.__name__}"


class UnknownMessage(Stated, ValueError):
    """A name outside the vocabulary, or data that does not fit it."""


def unreadable(error: Exception) -> str:
    """Why bytes could not be read: the place and the kind of value, never the value itself."""
    text = str(error) if isinstance(error, msgspec.MsgspecError | RecursionError) else type(error).__name__
    return "a value that is not valid" if "value '" in text or "value `" in text else text


class Vocabulary:
    """The message types that a service can read and write as JSON, by name."""

    def __init__(self, types: Iterable[type[Message]]) -> None:
        self.types: Mapping[str, type[Message]] = {kind.__name__: kind for kind in types}
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {
            name: msgspec.json.Decoder(kind) for name, kind in self.types.items()
        }
        self._encoder = msgspec.json.Encoder()

    def encode(self, message: Message) -> bytes:
        """The message as JSON, without its type."""
        return self._encoder.encode(message)

    def decode(self, name: str, data: bytes | str | msgspec.Raw) -> Any:
        """The message of that type. Unknown fields are ignored: a newer sender may add some.

        Raises:
            UnknownMessage: The name is not in the vocabulary, or a field is missing or of the wrong type.
        """
        decoder = self._decoders.get(name)
        if decoder is None:
            raise UnknownMessage(f"unknown message type {name!r}")
        try:
            return decoder.decode(data)
        except UNREADABLE as error:
            raise UnknownMessage(f"{name}: {unreadable(error)}") from error

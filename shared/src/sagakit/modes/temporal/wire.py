"""What travels through Temporal: messages by name, as JSON that its web page can show. No I/O.

Guarantee: what was written can be read by later versions, as long as fields are only added with defaults;
the stored histories in the tests hold this.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    BinaryNullPayloadConverter,
    CompositePayloadConverter,
    DataConverter,
    EncodingPayloadConverter,
)

from sagakit.message import Message, Vocabulary

QUEUE: Final = "quartet-{}"


@dataclass(frozen=True, slots=True)
class Note:
    """A message by name, the id of the message that led to it, and the trace it belongs to."""

    type: str
    data: msgspec.Raw
    cause: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """What a workflow needs to know, so that a replay depends on its history alone. Durations in seconds.

    `note` is None where a signal will tell. `deadline`: how long after its start it asks the pivot to give up.
    """

    note: Note | None
    retry_initial: float
    retry_max: float
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A workflow of `service` to be started or, with a `signal` and its note, to be told, running or not."""

    id: str
    service: str
    workflow: str
    start: Start
    signal: tuple[str, Note] | None = None


def note_of(wire: Vocabulary, message: Message, cause: str | None, traceparent: str | None) -> Note:
    return Note(type(message).__name__, msgspec.Raw(wire.encode(message)), cause, traceparent)


def message_of(wire: Vocabulary, note: Note) -> Any:
    """The message; UnknownMessage if this version cannot read it."""
    return wire.decode(note.type, note.data)


class _Json(EncodingPayloadConverter):
    """Everything as `json/plain`, read by type hint."""

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload:
        return Payload(metadata={"encoding": b"json/plain"}, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return msgspec.json.decode(payload.data, type=type_hint or Any)


class Converter(CompositePayloadConverter):
    """Nothing as nothing, all else as JSON."""

    def __init__(self) -> None:
        super().__init__(BinaryNullPayloadConverter(), _Json())


CONVERTER: Final = replace(DataConverter.default, payload_converter_class=Converter)

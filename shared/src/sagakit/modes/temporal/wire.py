"""What travels through Temporal: messages by name, as JSON that its web page can show. No I/O.

Guarantee: later versions read what was written, as long as fields are only added with defaults (stored histories).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, TypeVar

import msgspec
from temporalio import converter
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, FailureError

from sagakit.envelope import Envelope
from sagakit.message import UNREADABLE, Event, Message, UnknownMessage, Vocabulary, unreadable
from sagakit.wording import stated

T = TypeVar("T")
Letter = tuple[bytes, str, str | None]  # what nobody can read, why, and whom it is about
QUEUE: Final = "quartet-{}"
LONGEST: Final = 1e6  # seconds: the server takes no time that is none


@dataclass(frozen=True, slots=True)
class MessagePayload:
    """A message by name, the id of the message that led to it, and the trace it belongs to."""

    type: str
    data: msgspec.Raw
    cause: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowInput:
    """What a workflow needs to know, so that a replay depends on its history alone. Durations in seconds.

    `note` is None where a signal will tell. `deadline`: how long after its start it asks the pivot to give up.
    """

    note: MessagePayload | None
    retry_initial: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)]
    retry_max: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)]
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class StartWorkflow:
    """A workflow of `service` to be started or, with a `signal` and its note, to be told, running or not."""

    id: str
    service: str
    workflow: str
    start: WorkflowInput
    signal: tuple[str, MessagePayload] | None = None


class ParticipantRole:
    """What a participant does in orchestration: what activities ask for, and their results are its answers."""

    workflows: Sequence[type[Any]] = ()

    def outgoing(self, event: Event, again: bool) -> Sequence[tuple[str, Message]]:
        return ()

    def calls(self, channel: str, envelope: Envelope, note: MessagePayload, age: float) -> Sequence[StartWorkflow]:
        """The workflows to be started or told for a row on `channel`, written `age` seconds ago."""
        return ()


def note_of(wire: Vocabulary, message: Message, cause: str | None, traceparent: str | None) -> MessagePayload:
    return MessagePayload(type(message).__name__, msgspec.Raw(wire.encode(message)), cause, traceparent)


def read(args: Sequence[RawValue], kind: type[T]) -> T:
    """The one argument, as that kind; UnknownMessage if it is anything else."""
    try:
        (arg,) = args
        return msgspec.json.decode(arg.payload.data, type=kind)
    except UNREADABLE as error:
        raise UnknownMessage(f"cannot be read: {unreadable(error)}") from error


def body_of(args: Sequence[RawValue]) -> bytes:
    """What a dead letter shows of them."""
    return b"\n".join(arg.payload.data for arg in args)


class _Json(converter.JSONPlainPayloadConverter):
    """Everything as `json/plain`, read by type hint."""

    def to_payload(self, value: Any) -> Payload:
        return Payload(metadata={"encoding": b"json/plain"}, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return msgspec.json.decode(payload.data, type=type_hint or Any)


class Converter(converter.CompositePayloadConverter):
    """Nothing as nothing, all else as JSON."""

    def __init__(self) -> None:
        super().__init__(converter.BinaryNullPayloadConverter(), _Json())


class _Chosen(converter.DefaultFailureConverter):
    """Of an error its kind, code and place: a history keeps what it is told, and shows it."""

    def to_failure(self, exception: BaseException, payload_converter: Any, failure: Any) -> None:
        if not isinstance(exception, FailureError):
            exception = ApplicationError(stated(exception, placed=True), type=type(exception).__name__)
        super().to_failure(exception, payload_converter, failure)


CONVERTER: Final = replace(converter.default(), payload_converter_class=Converter, failure_converter_class=_Chosen)

"""What travels through Temporal: messages by name, as JSON that its web page can show. No I/O.

Guarantee: later versions read what earlier ones stored in histories, as long as fields are only added, with defaults.
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
DeadLetterInput = tuple[bytes, str, str | None]  # the bytes that cannot be read, why, and their subject if known
QUEUE: Final = "quartet-{}"
LONGEST: Final = 1e6  # seconds: the server takes no longer durations


@dataclass(frozen=True, slots=True)
class MessagePayload:
    """A message by name, the id of the message that led to it, and the trace it belongs to."""

    type: str
    data: msgspec.Raw
    cause: str | None = None
    traceparent: str | None = None


class WorkflowInput(msgspec.Struct, frozen=True):
    """What a workflow needs to know, so that a replay depends on its history alone. Durations in seconds.

    `payload` is None where a signal brings the message; in JSON its name is `note`. `deadline` is the time from the
    workflow's start until it asks the pivot to cancel.
    """

    payload: MessagePayload | None = msgspec.field(name="note")
    retry_initial: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)]
    retry_max: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)]
    deadline: float | None = None

    def remaining(self, waited: float) -> float | None:
        """Seconds until the deadline, after `waited` seconds; None without a deadline."""
        return None if self.deadline is None else min(max(self.deadline - waited, 0.001), LONGEST)


@dataclass(frozen=True, slots=True)
class StartWorkflow:
    """A workflow of `service` that is to be started; with `signal`, a name and a payload, signalled whether it runs."""

    id: str
    service: str
    workflow: str
    input: WorkflowInput
    signal: tuple[str, MessagePayload] | None = None


class ParticipantRole:
    """A participant under orchestration: it runs activities, and their results are its answers."""

    workflows: Sequence[type[Any]] = ()

    def outgoing(self, event: Event, again: bool) -> Sequence[tuple[str, Message]]:
        """As Mode.outgoing."""
        return ()

    def starts(self, channel: str, envelope: Envelope, payload: MessagePayload, age: float) -> Sequence[StartWorkflow]:
        """The workflows to start or signal for a row on `channel`, written `age` seconds ago; none for other modes'."""
        return ()


def payload_of(wire: Vocabulary, message: Message, cause: str | None, traceparent: str | None) -> MessagePayload:
    """The message as it travels through Temporal."""
    return MessagePayload(type(message).__name__, msgspec.Raw(wire.encode(message)), cause, traceparent)


def read(args: Sequence[RawValue], kind: type[T]) -> T:
    """The one argument of a workflow, signal or activity, as that type.

    Raises:
        UnknownMessage: There is not exactly one argument, or it is of another shape.
    """
    try:
        (arg,) = args
        return msgspec.json.decode(arg.payload.data, type=kind)
    except UNREADABLE as error:
        raise UnknownMessage(f"cannot be read: {unreadable(error)}") from error


def body_of(args: Sequence[RawValue]) -> bytes:
    """The arguments as the body of a dead letter."""
    return b"\n".join(arg.payload.data for arg in args)


class _Json(converter.JSONPlainPayloadConverter):
    """Everything as `json/plain`, decoded by type hint."""

    def to_payload(self, value: Any) -> Payload:
        return Payload(metadata={"encoding": b"json/plain"}, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return msgspec.json.decode(payload.data, type=type_hint or Any)


class Converter(converter.CompositePayloadConverter):
    """Encodes None as no data, and everything else as JSON."""

    def __init__(self) -> None:
        super().__init__(converter.BinaryNullPayloadConverter(), _Json())


class _SafeErrors(converter.DefaultFailureConverter):
    """Encodes an error as its kind, its place and the words chosen for it, since histories store and show them."""

    def to_failure(self, exception: BaseException, payload_converter: Any, failure: Any) -> None:
        if not isinstance(exception, FailureError):
            exception = ApplicationError(stated(exception, placed=True), type=type(exception).__name__)
        super().to_failure(exception, payload_converter, failure)


CONVERTER: Final = replace(converter.default(), payload_converter_class=Converter, failure_converter_class=_SafeErrors)

"""CloudEvents 1.0 in structured JSON mode, with derived ids, the cause, and W3C trace context.

Source: the CloudEvents specification 1.0 and its distributed tracing extension.
"""

from datetime import UTC, datetime

import msgspec

from sagakit.message import UNREADABLE, Message, UnknownMessage, Vocabulary, message_id, unreadable

TYPE_PREFIX = "quartet."
VERSION = ".v1"


class Envelope(msgspec.Struct, frozen=True):
    """A message as it travels. `source` is the service that sent it; `cause` the id of the message that led to it."""

    message: Message
    source: str
    cause: str | None = None
    time: datetime | None = None
    traceparent: str | None = None

    @property
    def id(self) -> str:
        """The derived id of the message."""
        return message_id(self.message)


class _Wire(msgspec.Struct, omit_defaults=True):
    id: str
    source: str
    type: str
    subject: str
    data: msgspec.Raw
    time: datetime | None = None
    causationid: str | None = None
    traceparent: str | None = None
    specversion: str = ""
    datacontenttype: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Wire)


def encode(envelope: Envelope, vocabulary: Vocabulary) -> bytes:
    """The bytes that go on the wire."""
    message = envelope.message
    return _encoder.encode(
        _Wire(
            id=envelope.id,
            source=f"/quartet/{envelope.source}",
            type=f"{TYPE_PREFIX}{type(message).__name__}{VERSION}",
            subject=message.subject,
            data=msgspec.Raw(vocabulary.encode(message)),
            time=envelope.time or datetime.now(UTC),
            causationid=envelope.cause,
            traceparent=envelope.traceparent,
            specversion="1.0",
            datacontenttype="application/json",
        )
    )


class _Sent(msgspec.Struct):
    time: datetime | None = None


_decode_sent = msgspec.json.Decoder(_Sent).decode


def sent_at(body: bytes) -> datetime | None:
    """When the message in `body` was sent; None if that cannot be read."""
    try:
        sent = _decode_sent(body).time
    except UNREADABLE:
        return None
    return sent if sent is not None and sent.tzinfo is not None else None


def decode(body: bytes, vocabulary: Vocabulary) -> Envelope:
    """The envelope in `body`.

    Raises:
        UnknownMessage: `body` is no message of this system, or of another version, or its id is not the derived one.
    """
    try:
        wire = _decoder.decode(body)
    except UNREADABLE as error:
        raise UnknownMessage(f"not a CloudEvent: {unreadable(error)}") from error
    if wire.specversion != "1.0":
        raise UnknownMessage(f"CloudEvents version {wire.specversion!r} is not '1.0'")
    if not (wire.type.startswith(TYPE_PREFIX) and wire.type.endswith(VERSION)):
        raise UnknownMessage(f"unknown type or version {wire.type!r}")
    name = wire.type[len(TYPE_PREFIX) : -len(VERSION)]
    envelope = Envelope(
        message=vocabulary.decode(name, wire.data),
        source=wire.source.removeprefix("/quartet/"),
        cause=wire.causationid,
        time=wire.time,
        traceparent=wire.traceparent,
    )
    if envelope.id != wire.id:
        raise UnknownMessage(f"id {wire.id!r} is not the derived id {envelope.id!r}")
    return envelope

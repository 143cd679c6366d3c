"""Messages as SNS and SQS want them: text of lawful characters, ten to a call, 256 KiB to a call."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Packed: TypeAlias = tuple[str, dict[str, Any]]

BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024
OVERHEAD = 5 * 1024  # bytes; attributes take no more
ATTRIBUTE_CHARACTERS = 1000
LETTER_BYTES = 180 * 1024  # of a body that is cut: in base64 they fit into a call
_UNLAWFUL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def pack(body: bytes, **attributes: str) -> Packed:
    """The text and the attributes that carry `body`; what is no lawful text travels in base64."""
    carried = {name: _attribute(value) for name, value in attributes.items()}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if text and not _UNLAWFUL.search(text):
        return text, carried
    return base64.b64encode(body).decode() or "=", carried | {"encoding": _attribute("base64")}


def letter(body: bytes, cause: str) -> Packed:
    """As `pack`, but cut where it would be refused; the attribute `bytes` then tells the whole length."""
    packed = pack(body, cause=cause)
    if _weight(packed) > BATCH_BYTES:
        packed = pack(body[:LETTER_BYTES], cause=cause, bytes=str(len(body)))
    return packed


def unpack(message: Mapping[str, Any]) -> bytes:
    """What `pack` was given, from a received SQS message; what a stranger sent comes as it is, and never raises."""
    body = str(message.get("Body") or "").encode(errors="replace")
    with suppress(ValueError, TypeError, KeyError):
        if message["MessageAttributes"]["encoding"]["StringValue"] == "base64":
            return base64.b64decode(b"" if body == b"=" else body, validate=True)
    return body


def cut(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """Batches that one call may carry; a message too large for any goes alone, for the broker to refuse."""
    batch: list[T] = []
    size = 0
    for one in things:
        weight = _weight(one) if isinstance(one, tuple) else 0
        if batch and (len(batch) == BATCH_ENTRIES or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += weight
    if batch:
        yield batch


def _weight(packed: Packed) -> int:
    return len(packed[0].encode()) + OVERHEAD


def _attribute(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": _UNLAWFUL.sub("?", value)[:ATTRIBUTE_CHARACTERS] or "?"}

"""Messages as SNS and SQS take them: text of allowed characters, ten messages and 256 KiB to a call."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

Packed: TypeAlias = tuple[str, dict[str, Any]]

BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024
OVERHEAD = 5 * 1024  # bytes of a message's attributes, at most
ATTRIBUTE_CHARACTERS = 1000
LETTER_BYTES = 180 * 1024  # of a body that is cut: as base64 it fits into a call
_UNLAWFUL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def pack(body: bytes, **attributes: str) -> Packed:
    """The text and the attributes that carry `body`; a body that is no allowed text travels as base64."""
    carried = {name: _attribute(value) for name, value in attributes.items()}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if text and not _UNLAWFUL.search(text):
        return text, carried
    return base64.b64encode(body).decode() or "=", carried | {"encoding": _attribute("base64")}


def letter_of(body: bytes, cause: str) -> Packed:
    """As `pack` with the cause; a body too large for a call is cut, and the attribute `bytes` tells its length."""
    packed = pack(body, cause=cause)
    if _weight(packed) > BATCH_BYTES:
        packed = pack(body[:LETTER_BYTES], cause=cause, bytes=str(len(body)))
    return packed


def unpack(message: Mapping[str, Any]) -> bytes:
    """The body that `pack` was given. A message that anybody else sent comes as it is. Never raises."""
    body = str(message.get("Body") or "").encode(errors="replace")
    with suppress(ValueError, TypeError, KeyError):
        if message["MessageAttributes"]["encoding"]["StringValue"] == "base64":
            return base64.b64decode(b"" if body == b"=" else body, validate=True)
    return body


def batches(messages: Sequence[Packed]) -> Iterator[Sequence[Packed]]:
    """Batches that one call may carry; a message too large for any call goes alone, for the broker to refuse."""
    batch: list[Packed] = []
    size = 0
    for message in messages:
        weight = _weight(message)
        if batch and (len(batch) == BATCH_ENTRIES or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += weight
    if batch:
        yield batch


def _weight(packed: Packed) -> int:
    return len(packed[0].encode()) + OVERHEAD


def _attribute(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": _UNLAWFUL.sub("?", value)[:ATTRIBUTE_CHARACTERS] or "?"}

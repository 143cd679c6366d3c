"""Messages as SNS and SQS want them: text of allowed characters, ten to a call, 256 KiB to a call."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Packed: TypeAlias = tuple[str, dict[str, Any]]

BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024
ENTRY_OVERHEAD = 5 * 1024  # bytes; more than our attributes take
ATTRIBUTE_CHARACTERS = 1000
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def attribute(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": _FORBIDDEN.sub("?", value)[:ATTRIBUTE_CHARACTERS] or "?"}


def pack(body: bytes, **attributes: str) -> Packed:
    """The text and the attributes that carry `body`; whatever is no lawful text travels in base64."""
    carried = {name: attribute(value) for name, value in attributes.items()}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if text and not _FORBIDDEN.search(text):
        return text, carried
    return base64.b64encode(body).decode() or "=", carried | {"encoding": attribute("base64")}


def unpack(message: Mapping[str, Any]) -> bytes:
    """The bytes that `pack` was given, from a received SQS message."""
    if "encoding" in message.get("MessageAttributes", ()):
        return base64.b64decode(message["Body"])
    return str(message["Body"]).encode()


def batches(packed: Iterable[Packed]) -> Iterator[Sequence[Packed]]:
    """Cut into calls that SNS and SQS accept; an entry too large for any call goes alone, and is refused there."""
    batch: list[Packed] = []
    size = 0
    for one in packed:
        weight = len(one[0].encode()) + ENTRY_OVERHEAD
        if batch and (len(batch) == BATCH_ENTRIES or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += weight
    if batch:
        yield batch


def tens(things: Sequence[T]) -> Iterator[Sequence[T]]:
    return (things[at : at + BATCH_ENTRIES] for at in range(0, len(things), BATCH_ENTRIES))

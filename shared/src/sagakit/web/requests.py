"""What many requests share: idempotency keys, `Prefer: wait`, pagination.

Guarantee: a value that these functions return is safe to store and to compare; a value that they refuse is answered
with a problem that names the header or parameter.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Header, Query
from starlette.requests import Request

from sagakit.web.problems import Invalid, Problem

MAX_WAIT: Final = 60
KEY_MAX: Final = 255
PREFER_MAX: Final = 8192  # characters of all `Prefer` headers together; the rest is ignored
_WAIT: Final = re.compile(r'\s*wait\s*=\s*("?)([0-9]+)\1\s*(?:;.*)?', re.IGNORECASE)
_WAIT_NAME: Final = re.compile(r"\s*wait\s*(?:[=;]|$)", re.IGNORECASE)
_INT64: Final = 2**63
_KNOWN_MAX: Final = 50  # characters of a `Prefer` header whose meaning is remembered


Limit = Annotated[int, Query(ge=1, le=200, description="Items per page")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")]
DEFAULT_LIMIT: Final = 50


async def _idempotency_key(
    request: Request,
    _: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description="Required; 1 to 255 printable characters (UTF-8)"),
    ] = None,
) -> str:
    values = request.headers.getlist("idempotency-key")
    if not values or not values[0]:
        detail = f"Send the header Idempotency-Key: 1 to {KEY_MAX} printable characters, new for each new request."
        raise Problem(400, "idempotency_key_missing", detail)
    key = _header_text(values[0])
    if len(values) > 1 or len(key) > KEY_MAX or not key.isprintable():
        message = f"must be given once, as 1 to {KEY_MAX} printable characters"
        raise Invalid("Idempotency-Key", message, "idempotency_key_invalid")
    return key


def _header_text(value: str) -> str:
    """The header decoded as UTF-8; as ISO 8859-1, which ASGI servers assume, if it is not valid UTF-8."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
"""The required `Idempotency-Key` header; 400 when it is missing, 422 when it is malformed."""


def parse_prefer_wait(values: Iterable[str]) -> int | None:
    """Parse `Prefer: wait=N` (RFC 7240): seconds, at most `MAX_WAIT`; None when absent or malformed.

    The first preference of that name counts, as the RFC demands, even when it is malformed. Characters beyond
    `PREFER_MAX` are ignored: a server may ignore any preference.
    """
    room = PREFER_MAX
    for value in values:
        for preference in _preferences(value[:room]):
            if _WAIT_NAME.match(preference):
                match = _WAIT.fullmatch(preference)
                return min(int(match[2][:9]), MAX_WAIT) if match else None
        room = max(room - len(value), 0)
    return None


def _preferences(value: str) -> Iterator[str]:
    """Split at commas outside quotes; an unclosed quote extends to the end."""
    start, quoted, escaped = 0, False, False
    for at, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            yield value[start:at]
            start = at + 1
    yield value[start:]


async def _prefer_wait(
    request: Request,
    _: Annotated[
        str | None,
        Header(alias="Prefer", description="`wait=N`: wait up to N seconds (at most 60) for the end"),
    ] = None,
) -> int | None:
    return parse_prefer_wait(request.headers.getlist("prefer"))


PreferWait = Annotated[int | None, Depends(_prefer_wait)]
"""Seconds the client is willing to wait, or None."""


def plain_idempotency_key(headers: Mapping[bytes, bytes]) -> str | None:
    """The `Idempotency-Key` of a `PlainRequest`; None if it is missing or has anything but printable ASCII."""
    value = headers.get(b"idempotency-key", b"")
    if not 0 < len(value) <= KEY_MAX or not value.isascii():
        return None
    key = value.decode()
    return key if key.isprintable() else None


def plain_prefer_wait(headers: Mapping[bytes, bytes]) -> int | None:
    """What `PreferWait` is for a `PlainRequest`."""
    value = headers.get(b"prefer")
    if value is None:
        return None
    return _known_wait(value) if len(value) <= _KNOWN_MAX else parse_prefer_wait([value.decode("latin-1")])


@lru_cache(maxsize=100)
def _known_wait(value: bytes) -> int | None:
    return parse_prefer_wait([value.decode("latin-1")])


def encode_cursor(*parts: str | int) -> str:
    """Encode the place where a page ended as an opaque cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def decode_cursor(cursor: str | None, *shape: type[str] | type[int]) -> tuple[Any, ...] | None:
    """Decode a cursor into its parts, whose types `shape` gives; None if there is no cursor.

    Raises:
        InvalidCursor: The cursor was not made by `encode_cursor` for this list.
    """
    if not cursor:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = msgspec.json.decode(raw, type=list[str | int])
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise InvalidCursor from None
    if len(parts) != len(shape) or not all(map(_fits, parts, shape)):
        raise InvalidCursor
    return tuple(parts)


def decode_instant(text: str) -> datetime:
    """Parse a part of a cursor as a time, in UTC.

    Raises:
        InvalidCursor: It is no ISO 8601 time with an offset.
    """
    try:
        at = datetime.fromisoformat(text)
        instant = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidCursor from None
    if at.tzinfo is None:
        raise InvalidCursor
    return instant


def iso(at: datetime) -> str:
    """Format a UTC time as responses show it: RFC 3339."""
    return at.isoformat().replace("+00:00", "Z")


def page(items: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    """The body of a response that lists items."""
    return {"items": items, "next_cursor": next_cursor}


def _fits(part: str | int, kind: type[str] | type[int]) -> bool:
    if isinstance(part, str):
        return kind is str and "\x00" not in part
    return kind is int and -_INT64 <= part < _INT64


class InvalidCursor(Invalid):
    """422: the cursor does not come from this list."""

    def __init__(self) -> None:
        super().__init__("cursor", "must be the next_cursor of a page of this list")

"""What requests have in common: idempotency keys, `Prefer: wait`, pages.

Guarantee: whatever these readers return is safe to store and to compare; whatever they refuse is refused with
a problem that names the header or parameter.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Header, Query
from starlette.requests import Request

from sagakit.web.problems import Problem, invalid

MAX_WAIT: Final = 60
KEY_MAX: Final = 255
PREFER_MAX: Final = 8192  # characters of all `Prefer` headers together that are looked at
_WAIT: Final = re.compile(r'\s*wait\s*=\s*("?)([0-9]+)\1\s*(?:;.*)?', re.IGNORECASE)
_WAIT_NAME: Final = re.compile(r"\s*wait\s*(?:[=;]|$)", re.IGNORECASE)
_INT64: Final = 2**63


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
    given = request.headers.getlist("idempotency-key")
    if not given or not given[0]:
        detail = f"Send the header Idempotency-Key: 1 to {KEY_MAX} printable characters, new for each new request."
        raise Problem(400, "idempotency_key_missing", detail)
    key = _header_text(given[0])
    if len(given) > 1 or len(key) > KEY_MAX or not key.isprintable():
        message = f"must be given once, as 1 to {KEY_MAX} printable characters"
        raise invalid("Idempotency-Key", message, "idempotency_key_invalid")
    return key


def _header_text(given: str) -> str:
    """The characters that a client meant: UTF-8, or where that cannot be, ISO 8859-1, as which a header is read."""
    if given.isascii():
        return given
    try:
        return given.encode("latin-1").decode()
    except UnicodeError:
        return given


IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
"""The required `Idempotency-Key` header; 400 when it is missing, 422 when it is malformed."""


def parse_prefer_wait(values: Iterable[str]) -> int | None:
    """The seconds of `Prefer: wait=N` (RFC 7240), at most `MAX_WAIT`; None when absent or malformed.

    Of several preferences of that name the first counts, as the RFC demands, even when it is malformed. What stands
    beyond `PREFER_MAX` characters is not looked at: a server may ignore any preference.
    """
    room = PREFER_MAX
    for value in values:
        for preference in _preferences(value[:room]):
            if _WAIT_NAME.match(preference):
                found = _WAIT.fullmatch(preference)
                return min(int(found[2][:9]), MAX_WAIT) if found else None
        room = max(room - len(value), 0)
    return None


def _preferences(value: str) -> Iterator[str]:
    """The parts between commas, other than those in quotes; a quotation without end hides what comes after it."""
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


def encode_cursor(*parts: str | int) -> str:
    """An opaque cursor: where the page ended."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def decode_cursor(cursor: str | None, *shape: type[str] | type[int]) -> tuple[Any, ...] | None:
    """The parts of a cursor, of the types in `shape`; None for no cursor; 422 for one that is not ours."""
    if not cursor:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = msgspec.json.decode(raw, type=list[str | int])
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise _bad_cursor() from None
    if len(parts) != len(shape) or not all(map(_fits, parts, shape)):
        raise _bad_cursor()
    return tuple(parts)


def decode_instant(text: str) -> datetime:
    """The time that a part of a cursor stands for; 422 for one that is not ours."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(text)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad_cursor() from None


def iso(at: datetime) -> str:
    """A time as answers show it: RFC 3339, in UTC."""
    return at.isoformat().replace("+00:00", "Z")


def page(items: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    """The body of every list."""
    return {"items": items, "next_cursor": next_cursor}


def _fits(part: str | int, kind: type[str] | type[int]) -> bool:
    if isinstance(part, str):
        return kind is str and "\x00" not in part
    return kind is int and -_INT64 <= part < _INT64


def _bad_cursor() -> Problem:
    return invalid("cursor", "must be the next_cursor of a page of this list", "validation")

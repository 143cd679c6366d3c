"""Numbers, times and codes as people read them. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

REASONS: Final[Mapping[str, str]] = {
    "OUT_OF_STOCK": "something in the basket is sold out",
    "PAYMENT_DECLINED": "the payment was declined",
    "SHIPPING_UNAVAILABLE": "nobody delivers to that address",
    "TIMED_OUT": "it took too long",
    "CUSTOMER_REQUESTED": "you asked for it",
    "UNKNOWN_ORDER": "its messages came before it",
}
"""Reason for a cancellation -> what a customer reads after "cancelled, because"."""


def duration(seconds: float) -> str:
    """A length of time with two or three digits: `3 ms`, `1.25 s`, `2 min 5 s`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def money(amount: Mapping[str, Any] | None) -> str:
    """An amount of minor units with its currency: `€ 24.00`."""
    if not amount:
        return ""
    sign = {"EUR": "€"}.get(str(amount.get("currency")), str(amount.get("currency")))
    return f"{sign} {int(amount['amount']) / 100:,.2f}"


def clock(at: str) -> str:
    """The time of day, in UTC, of an RFC 3339 text; the text itself if it is none."""
    try:
        return datetime.fromisoformat(at).astimezone(UTC).strftime("%H:%M:%S")
    except ValueError:
        return at


def ago(at: str, now: datetime) -> str:
    """How long ago that was."""
    return f"{duration(max(0.0, (now - datetime.fromisoformat(at)).total_seconds()))} ago"


def short(order_id: str) -> str:
    """The first characters of an id, enough to tell the orders on a page apart."""
    return order_id[:8]


def pretty(value: Any) -> str:
    """JSON over several lines."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()

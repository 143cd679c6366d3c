"""The data of a diagram against the journals that it was drawn from, written down independently of the console."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

Arrow = tuple[str, str, str, str, str | None]
"""Its kind, its message, where it comes from, where it goes, and its cause."""
REQUESTS: Final = frozenset({"PlaceOrder", "CancelOrder"})
"""What a customer asks for."""


def wrong(saga: Mapping[str, Any], timelines: Mapping[str, Any], *, choreography: bool) -> list[str]:
    """What the diagram lacks or invents: steps and arrows. Empty if it says what the timelines of its order say."""
    written = set(_written(saga["order_id"], timelines))
    shown = [(step["service"], step["kind"], step["message"], step["cause"], _at(step["at"])) for step in saga["steps"]]
    expected = set(_expected(saga["order_id"], timelines, choreography))
    arrows = [(it["kind"], it["message"], it["from"], it["to"], it["cause"]) for it in saga["arrows"]]
    return [
        *(f"missing: {step}" for step in sorted(written - set(shown), key=str)),
        *(f"invented: {step}" for step in sorted(set(shown) - written, key=str)),
        *(["a step is there twice"] if len(shown) != len(set(shown)) else []),
        *(f"missing: {arrow}" for arrow in sorted(expected - set(arrows), key=str)),
        *(f"invented: {arrow}" for arrow in sorted(set(arrows) - expected, key=str)),
        *_ends(saga, {message: (service, at) for service, _, message, _, at in written}),
    ]


def _ends(saga: Mapping[str, Any], written: Mapping[str, tuple[str, datetime]]) -> Iterator[str]:
    """Arrows whose ends are not in the journals of the services that they connect, or at another time."""
    for arrow in saga["arrows"]:
        for end, at, lane in (("sent", "sent_at", "from"), ("received", "received_at", "to")):
            message = arrow[end]
            if message is not None and written.get(message) != (arrow[lane], _at(arrow[at])):
                yield f"{arrow['message']} was not {end} as {message} by {arrow[lane]} at that time"


def _written(order_id: str, timelines: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str | None, datetime]]:
    for service, body in timelines.items():
        for item in body["items"]:
            yield service, item["kind"], item["message"], _short(order_id, item["cause"]), _at(item["at"])


def _expected(order_id: str, timelines: Mapping[str, Any], choreography: bool) -> Iterator[Arrow]:
    """An arrow for each message that came from elsewhere, as the journals show, and for each call and its answer."""
    recorded = {message: service for service, _, message, *_ in _written(order_id, timelines)}
    for service, kind, message, cause, _ in _written(order_id, timelines):
        for call in timelines[service].get("calls", ()):
            if kind == "event" and call["asked_by"] == f"{order_id}/{message}":
                yield "call", call["operation"], service, "provider", message
            if kind == "command" and cause == call["operation"]:
                yield "answer", call["operation"], "provider", service, cause
        if kind == "command" and cause is None and message in REQUESTS:
            yield "request", message, "client", service, None
        if kind == "command" and cause is not None:
            yield from _carried(message, service, cause, recorded.get(cause), choreography)


def _carried(message: str, service: str, cause: str, source: str | None, choreography: bool) -> Iterator[Arrow]:
    """How an event of another service led to a command: directly, or by way of the orchestrator in order."""
    if source is None or source == service:
        return
    if choreography or service == "order":
        yield "event", cause, source, service, cause
        return
    if source != "order":
        yield "event", cause, source, "order", cause
    yield "command", message, "order", service, cause


def _short(order_id: str, cause: str | None) -> str | None:
    return cause.removeprefix(f"{order_id}/") if cause else None


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)

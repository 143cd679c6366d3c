"""The orders of shoppers, put together from the requests in a history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from loadtests.history import COMPLETIONS, Line

FINAL: Final = ("COMPLETED", "CANCELLED")


@dataclass(slots=True)
class Purchase:
    """One shopper's order over all requests under its key.

    `began` is the time of the first request, `accepted` that of the first answer with the order, `left` that of the
    last answer; None: there is no such answer, or a request is still open. `status` and `reason` are the last that the
    client was told; `end` is the outcome of its last operation: ok, fail or unknown.
    """

    customer: str
    key: str
    kind: str
    began: float
    accepted: float | None = None
    left: float | None = None
    order_id: str | None = None
    status: str | None = None
    reason: str | None = None
    end: str = "unknown"
    lines: list[Line] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether its client was told that it is COMPLETED or CANCELLED."""
        return self.status in FINAL

    @property
    def answered(self) -> float | None:
        """When its client was told the end; None: never."""
        return self.left if self.ended else None

    def seconds(self, now: float) -> float:
        """How long its client waited, up to `now` if it still waits."""
        return (now if self.left is None else self.left) - self.began


def purchases(lines: Iterable[Line], time_of: Callable[[Line], float]) -> list[Purchase]:
    """All orders of the shoppers, by the time of their first request; `time_of` reads the time of a line."""
    orders: dict[tuple[str, str], Purchase] = {}
    open_requests: dict[tuple[str, str], set[str]] = {}
    for line in lines:
        if line["type"] not in ("invoke", *COMPLETIONS) or line["op"] == "read":
            continue
        who = (line["customer"], line["key"])
        if line["type"] == "invoke":
            order = orders.setdefault(who, Purchase(*who, line["kind"], time_of(line)))
            open_requests.setdefault(who, set()).add(line["id"])
            order.left = None
        elif who in orders:
            order = orders[who]
            open_requests[who].discard(line["id"])
            _answer(order, line, time_of(line))
            order.left = None if open_requests[who] else time_of(line)
        else:
            continue
        order.lines.append(line)
    return list(orders.values())


def _answer(order: Purchase, line: Line, at: float) -> None:
    order.end = line["type"]
    order.order_id = line["order_id"] or order.order_id
    if line["status"]:
        order.accepted = at if order.accepted is None else order.accepted
        order.status, order.reason = line["status"], line["value"].get("cancellation_reason")

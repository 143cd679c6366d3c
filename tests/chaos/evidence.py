"""All that a run is judged by: history, faults, orders, audit, and the resources that processes used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from loadtests.history import Line
from tests.chaos.faults.health import query
from tests.chaos.model import Injection
from tests.chaos.purchases import Purchase, purchases
from tests.chaos.stack import SERVICES, StackUnderTest
from tests.chaos.usage import Sample

_ORDERS: Final = """
SELECT order_id, customer, idempotency_key, status, cancellation_reason, settled,
    extract(epoch FROM created_at)::float8 AS created, extract(epoch FROM updated_at)::float8 AS updated,
    extract(epoch FROM recorded_at)::float8 AS confirmed
FROM orders LEFT JOIN journal ON journal.id = order_id || '/OrderConfirmed'
WHERE customer IS NOT NULL AND created_at >= to_timestamp($1) ORDER BY created_at
"""


@dataclass(frozen=True, slots=True)
class Phases:
    """When load and faults began, the last fault healed and the load ended, in seconds of `time.time()`."""

    load_began: float
    faults_began: float
    healed: float
    load_ended: float


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as the order database holds it at the end; `updated` is when it settled, if it has.

    `confirmed`: when it was confirmed; None: it was not.
    """

    order_id: str
    customer: str
    key: str
    status: str
    reason: str | None
    settled: bool
    created: float
    updated: float
    confirmed: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of a run.

    `faults` are those that were asked for; `missing` says which of these are not available, and why.

    `deadline`: SAGA_DEADLINE of the stack, in seconds.

    `audit` is the auditor's report as JSON values, or None, and then `audit_error` says why.
    """

    phases: Phases
    faults: Sequence[str]
    injections: Sequence[Injection]
    lines: Sequence[Line] = ()
    orders: Sequence[OrderRow] = ()
    samples: Sequence[Sample] = ()
    audit: Mapping[str, Any] | None = None
    audit_error: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 1
    deadline: float = 30.0

    def purchases(self) -> list[Purchase]:
        """The orders of the shoppers, by the time of their first request; times as in `Phases`."""
        return purchases(self.lines, lambda line: float(line["at"]))

    def clusters(self) -> Iterator[tuple[float, float]]:
        """The intervals in which something was broken: those of faults, overlapping ones merged."""
        began: float | None = None
        ended = 0.0
        for one in sorted(self.injections, key=lambda one: one.began):
            if began is not None and one.began > ended:
                yield began, ended
                began = None
            began = one.began if began is None else began
            ended = max(ended, one.ended or self.phases.load_ended)
        if began is not None:
            yield began, ended


async def orders_since(stack: StackUnderTest, at: float) -> list[OrderRow]:
    """The orders that were accepted since that time, the oldest first."""
    rows = await query(stack, "order", _ORDERS, at)
    return [OrderRow(*(row[name] for name in _COLUMNS)) for row in rows]


async def slowest(stack: StackUnderTest, orders: Sequence[OrderRow], most: int = 5) -> list[dict[str, Any]]:
    """The orders that took longest to settle, each with the timeline that all services have of it."""
    rows = []
    for order in sorted(orders, key=lambda order: order.created - order.updated)[:most]:
        entries: list[dict[str, Any]] = []
        for service in SERVICES:
            with suppress(Exception):  # a report without a timeline is better than no report
                timeline = await stack.call("GET", f"/timeline/{order.order_id}", service)
                entries += [{**entry, "service": service} for entry in timeline["items"]]
        entries.sort(key=lambda entry: str(entry["at"]))
        rows.append({**asdict(order), "seconds": round(order.updated - order.created, 3), "timeline": entries})
    return rows


_COLUMNS: Final = (
    "order_id",
    "customer",
    "idempotency_key",
    "status",
    "cancellation_reason",
    "settled",
    "created",
    "updated",
    "confirmed",
)

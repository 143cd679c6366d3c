"""All that a run has left to be judged: the history, the faults, the orders, the audit, what processes used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.faults.health import query
from tests.chaos.model import Injection
from tests.chaos.stack import StackUnderTest
from tests.chaos.usage import Sample

Line = Mapping[str, Any]
ENDED: Final = ("COMPLETED", "CANCELLED")

_ORDERS: Final = """
SELECT order_id, customer, idempotency_key, status, cancellation_reason, settled,
    extract(epoch FROM created_at)::float8 AS created, extract(epoch FROM updated_at)::float8 AS updated
FROM orders WHERE customer IS NOT NULL AND created_at >= to_timestamp($1) ORDER BY created_at
"""


@dataclass(frozen=True, slots=True)
class Phases:
    """When what began, in seconds of `time.time()`: load, faults; the last fault healed; the last shopper answered."""

    load_began: float
    faults_began: float
    healed: float
    load_ended: float


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as the order database has it in the end; `updated` is when it settled, if it has."""

    order_id: str
    customer: str
    key: str
    status: str
    reason: str | None
    settled: bool
    created: float
    updated: float


@dataclass(frozen=True, slots=True)
class Purchase:
    """One shopper's order, over all requests under its key. `answered`: when it was told the end; None: never."""

    customer: str
    key: str
    kind: str
    began: float
    accepted: float | None = None
    answered: float | None = None
    order_id: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """`faults`: those that the run was asked for; `missing`: of these, those that could not be had, and why.

    `audit`: the auditor's report as JSON values; None where it could not be made, and `audit_error` says why.
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

    def purchases(self) -> list[Purchase]:
        """The orders of the shoppers, by the time of their first request."""
        found: dict[tuple[str, str], Purchase] = {}
        for line in self.lines:
            if line.get("op") != "order":
                continue
            who = (line["customer"], line["key"])
            if line["type"] == "invoke":
                found.setdefault(who, Purchase(*who, line["kind"], line["at"]))
            elif line["type"] == "ok" and who in found:
                found[who] = _told(found[who], line)
        return sorted(found.values(), key=lambda one: one.began)

    def clusters(self) -> Iterator[tuple[float, float]]:
        """From when to when something was broken: the times of the faults, those that overlap as one."""
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


def _told(before: Purchase, line: Line) -> Purchase:
    final = line["status"] in ENDED
    return Purchase(
        before.customer,
        before.key,
        before.kind,
        before.began,
        before.accepted or line["at"],
        line["at"] if final else before.answered,
        line["order_id"],
        line["status"],
    )


async def orders_since(stack: StackUnderTest, at: float) -> list[OrderRow]:
    """The orders that were accepted since that time, the oldest first."""
    rows = await query(stack, "order", _ORDERS, at)
    return [OrderRow(*(row[name] for name in _COLUMNS)) for row in rows]


_COLUMNS: Final = (
    "order_id",
    "customer",
    "idempotency_key",
    "status",
    "cancellation_reason",
    "settled",
    "created",
    "updated",
)

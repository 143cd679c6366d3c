"""The verdict: per invariant how much was looked at and what contradicts it; and what there was to look at."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from checkout_audit.invariants import INVARIANTS, Invariant, Scope, Violation
from checkout_audit.orders import placed
from checkout_audit.snapshot import OrderEvidence, Snapshot, name_of
from checkout_audit.state_machines import CONTESTED
from order_service.domain import CANCELLED

_UNDOS: Final = {"inventory": "StockReleased", "payment": "PaymentVoided", "shipping": "ShipmentCancelled"}
KEPT: Final = 1000
"""Violations of one invariant that are kept; all are counted."""


@dataclass(slots=True)
class Finding:
    """An invariant, how many things it was held against, and what contradicts it. `judged`: whether it was at all."""

    invariant: Invariant
    judged: bool = False
    checked: int = 0
    violated: int = 0
    violations: list[Violation] = field(default_factory=list)

    def hold_against(self, snapshot: Snapshot) -> None:
        """Judge one more snapshot."""
        found = self.invariant.check(snapshot)
        self.judged = True
        self.checked += self.invariant.population(snapshot)
        self.violated += len(found)
        self.violations += found[: KEPT - len(self.violations)]


@dataclass(slots=True)
class Tally:
    """What there was: a verdict over nothing proves nothing."""

    orders: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    captured: Counter[str] = field(default_factory=Counter)
    compensations: Counter[str] = field(default_factory=Counter)
    races: Counter[str] = field(default_factory=Counter)
    unseen: int = 0

    def add(self, snapshot: Snapshot) -> None:
        """Count one more slice."""
        for row in placed(snapshot):
            self.orders[row.status] += 1
            if row.status == CANCELLED:
                self.cancelled[row.state.cancellation_reason or "for no reason"] += 1
        for service, records in snapshot.services.items():
            self.events.update(f"{service}.{row.name}" for row in records.journal)
        for entry in snapshot.ledger:
            if (entry.operation, entry.outcome) == ("capture", "ok") and entry.amount:
                self.captured[entry.amount.currency] += entry.amount.amount
        for case in snapshot.cases.values():
            self.compensations.update(_compensated(case))
            self.races.update(_raced(case))
            self.unseen += bool(case.unseen)


def _compensated(case: OrderEvidence) -> Iterable[str]:
    if case.recorded("inventory", "StockReserved") and case.recorded("inventory", "StockReleased"):
        yield "stock released"
    if case.recorded("payment", "PaymentVoidRequested"):
        yield "payment voided"
    if case.recorded("shipping", "ShipmentCancellationRequested"):
        yield "shipment cancelled"


def _raced(case: OrderEvidence) -> Iterable[str]:
    if {name_of(claim.id) for claim in case.inbox.get("order", ())} >= CONTESTED:
        yield "confirmation against cancellation"
    for service, undo in (
        ("inventory", "StockReleased"),
        ("payment", "PaymentVoided"),
        ("shipping", "ShipmentCancelled"),
    ):
        rows = case.journal.get(service, ())
        if rows and rows[0].name == undo:
            yield "undo of nothing" if len(rows) == 1 else "do after undo, refused"
    if case.recorded("payment", "PaymentVoidDeferred"):
        yield "void during an authorization"
    if case.recorded("shipping", "ShipmentCancellationDeferred"):
        yield "cancellation during a booking"


@dataclass(slots=True)
class Report:
    """`drained`: whether nothing was in flight before looking. `notes`: what a reader must know besides."""

    findings: list[Finding] = field(default_factory=lambda: [Finding(invariant) for invariant in INVARIANTS])
    tally: Tally = field(default_factory=Tally)
    drained: bool = True
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def consistent(self) -> bool:
        """Whether no invariant is violated."""
        return not any(finding.violated for finding in self.findings)

    @property
    def vacuous(self) -> bool:
        """Whether there was no order to look at."""
        return not self.tally.orders

    @property
    def violated(self) -> frozenset[int]:
        """The numbers of the invariants that are violated."""
        return frozenset(finding.invariant.number for finding in self.findings if finding.violated)

    def add(self, snapshot: Snapshot, *scopes: Scope) -> None:
        """Hold against a snapshot every invariant that can be judged on what it holds; 10 only with a history."""
        for finding in self.findings:
            if finding.invariant.scope in scopes and (finding.invariant.number != 10 or snapshot.history is not None):
                finding.hold_against(snapshot)
        if Scope.SLICE in scopes:
            self.tally.add(snapshot)

    def document(self) -> dict[str, Any]:
        """The report as JSON values."""
        tally = self.tally
        return {
            "consistent": self.consistent,
            "vacuous": self.vacuous,
            "drained": self.drained,
            "seconds": round(self.seconds, 3),
            "notes": self.notes,
            "invariants": [
                {
                    "number": finding.invariant.number,
                    "name": finding.invariant.name,
                    "meaning": finding.invariant.meaning,
                    "judged": finding.judged,
                    "checked": finding.checked,
                    "violations": finding.violated,
                    "found": [{"subject": one.subject, "what": one.what} for one in finding.violations],
                }
                for finding in self.findings
            ],
            "counts": {
                "orders": dict(tally.orders),
                "cancelled": dict(tally.cancelled),
                "events": dict(sorted(tally.events.items())),
                "captured": dict(tally.captured),
                "compensations": dict(tally.compensations),
                "races": dict(tally.races),
            },
        }


def judge(snapshot: Snapshot) -> Report:
    """The verdict on one complete snapshot. Pure."""
    report = Report()
    report.add(snapshot, Scope.WHOLE, Scope.SLICE)
    return report

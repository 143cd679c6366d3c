"""The verdict: per invariant how much was checked and what violates it, and a tally of what there was to check."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from checkout_audit.commands import CONTESTED
from checkout_audit.invariants import INVARIANTS, Invariant, Scope
from checkout_audit.orders import placed
from checkout_audit.rows import name_of
from checkout_audit.snapshot import OrderEvidence, Snapshot, Violation
from order_service.domain import CANCELLED

_UNDOS: Final = {"inventory": "StockReleased", "payment": "PaymentVoided", "shipping": "ShipmentCancelled"}
KEPT: Final = 1000
"""The number of violations of one invariant that are kept; all are counted."""


@dataclass(slots=True)
class Finding:
    """What the check of one invariant has found.

    `judged` says whether it was checked at all, `checked` against how many things; `violated` counts all violations, of
    which `violations` keeps the first KEPT.
    """

    invariant: Invariant
    judged: bool = False
    checked: int = 0
    violated: int = 0
    violations: list[Violation] = field(default_factory=list)

    def check(self, snapshot: Snapshot) -> None:
        """Check one more snapshot."""
        self.add(self.invariant.population(snapshot), self.invariant.check(snapshot))

    def add(self, checked: int, violations: Sequence[Violation]) -> None:
        """Count what was checked, and what violates it."""
        self.judged = True
        self.checked += checked
        self.violated += len(violations)
        self.violations += violations[: KEPT - len(self.violations)]


@dataclass(slots=True)
class Tally:
    """What there was to check, for a verdict over nothing proves nothing.

    `unread` counts the orders that a sandbox served whose ledger could not be read, `pruned` those of which no
    more than the final row is left.
    """

    orders: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    captured: Counter[str] = field(default_factory=Counter)
    compensations: Counter[str] = field(default_factory=Counter)
    races: Counter[str] = field(default_factory=Counter)
    unread: int = 0
    pruned: int = 0

    def add(self, snapshot: Snapshot) -> None:
        """Count one more slice."""
        for row in placed(snapshot):
            self.orders[row.status] += 1
            self.pruned += row.state.pruned
            if row.status == CANCELLED:
                self.cancelled[row.state.cancellation_reason or "for no reason"] += 1
        for service, records in snapshot.services.items():
            self.events.update(f"{service}.{row.name}" for row in records.journal)
        for entry in snapshot.ledger:
            if (entry.operation, entry.outcome) == ("capture", "ok") and entry.amount:
                self.captured[entry.amount.currency] += entry.amount.amount
        for evidence in snapshot.evidence.values():
            self.compensations.update(_compensated(evidence))
            self.races.update(_raced(evidence))
            self.unread += bool(evidence.unread)

    def repeat(self, one: "Tally", times: int) -> None:
        """Count what another tally has so many times, but for the money, which differs."""
        for name in ("orders", "cancelled", "events", "compensations", "races"):
            mine: Counter[str] = getattr(self, name)
            for what, count in getattr(one, name).items():
                mine[what] += count * times
        self.unread += one.unread * times
        self.pruned += one.pruned * times


def _compensated(evidence: OrderEvidence) -> Iterable[str]:
    if evidence.recorded("inventory", "StockReserved") and evidence.recorded("inventory", "StockReleased"):
        yield "stock released"
    if evidence.recorded("payment", "PaymentVoidRequested"):
        yield "payment voided"
    if evidence.recorded("shipping", "ShipmentCancellationRequested"):
        yield "shipment cancelled"


def _raced(evidence: OrderEvidence) -> Iterable[str]:
    if {name_of(claim.id) for claim in evidence.inbox.get("order", ())} >= CONTESTED:
        yield "confirmation against cancellation"
    for service, undo in _UNDOS.items():
        rows = evidence.journal.get(service, ())
        if rows and rows[0].name == undo:
            yield "undo of nothing" if len(rows) == 1 else "do after undo, refused"
    if evidence.recorded("payment", "PaymentVoidDeferred"):
        yield "void during an authorization"
    if evidence.recorded("shipping", "ShipmentCancellationDeferred"):
        yield "cancellation during a booking"


@dataclass(slots=True)
class Report:
    """The report. `drained` says whether nothing was in flight; `notes` hold what else a reader must know."""

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
        """Whether there was no order to check."""
        return not self.tally.orders

    @property
    def violated(self) -> frozenset[int]:
        """The numbers of the invariants that are violated."""
        return frozenset(finding.invariant.number for finding in self.findings if finding.violated)

    def add(self, snapshot: Snapshot, *scopes: Scope) -> None:
        """Check every invariant with one of the `scopes` against a snapshot; invariant 10 only with a history."""
        for finding in self.findings:
            if finding.invariant.scope in scopes and (finding.invariant.number != 10 or snapshot.history is not None):
                finding.check(snapshot)
        if Scope.SLICE in scopes:
            self.tally.add(snapshot)

    def repeat(self, one: "Report", times: int) -> None:
        """Count a report without violations so many times, but for the money, which differs."""
        for mine, finding in zip(self.findings, one.findings, strict=True):
            if finding.judged:
                mine.add(finding.checked * times, ())
        self.tally.repeat(one.tally, times)

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
                    "found": [asdict(violation) for violation in finding.violations],
                }
                for finding in self.findings
            ],
            "counts": {
                "orders": dict(tally.orders),
                "pruned": tally.pruned,
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

"""The audit: drain, look, judge; and where something is wrong, look once more before saying so."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from checkout_audit.drain import InFlight, drain
from checkout_audit.invariant import Scope
from checkout_audit.loading import SLICE, Reader, connections, ranges
from checkout_audit.report import Report
from checkout_audit.snapshot import ClientObservation
from checkout_audit.target import Target

WAIT: Final = 60.0
SECOND_LOOK: Final = 1.0
"""A redelivered message may pass through an outbox at any time: what is gone after so long was in flight."""


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What is audited besides the stack: what clients saw, and the dead letters that a run is known to have made."""

    history: tuple[ClientObservation, ...] | None = None
    accounted: frozenset[str] = frozenset()
    slice_size: int = SLICE


async def examine(
    target: Target,
    question: AuditOptions = AuditOptions(),
    wait: float = WAIT,
    waiting: Callable[[InFlight], None] = lambda found: None,
    reading: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """Wait at most `wait` seconds until nothing is in flight, then judge. Raises Unreachable."""
    started = time.monotonic()
    left = await drain(target.databases, wait, waiting)
    report = await _look(target, question, reading)
    if not report.consistent and not left:
        await asyncio.sleep(SECOND_LOOK)
        left = await drain(target.databases, min(wait, 10.0), waiting)
        first, report = report, await _look(target, question, reading)
        if report.consistent:
            numbers = ", ".join(map(str, sorted(first.violated)))
            report.notes.append(f"a first look found something in flight (invariants {numbers}); a second one did not")
    if left:
        report.drained = False
        report.notes.append(f"not drained within {wait:g} s: {left}")
    report.seconds = time.monotonic() - started
    return report


def audit(target: Target, question: AuditOptions = AuditOptions(), wait: float = WAIT) -> Report:
    """`examine` for callers without an event loop."""
    return asyncio.run(examine(target, question, wait))


async def _look(target: Target, question: AuditOptions, reading: Callable[[int, int], None]) -> Report:
    report = Report()
    ledger = await target.ledger()
    async with connections(target.databases) as at:
        reader = Reader(at, ledger)
        parts = ranges(await reader.subjects(), question.slice_size)
        reading(0, len(parts) + 1)
        for number, part in enumerate(parts, 1):
            snapshot = await reader.slice(part)
            report.add(replace(snapshot, accounted=question.accounted), Scope.SLICE)
            reading(number, len(parts) + 1)
        whole = replace(await reader.whole(), history=question.history)
        report.add(whole, Scope.WHOLE)
        reading(len(parts) + 1, len(parts) + 1)
    if report.tally.unseen:
        report.notes.append(
            f"{report.tally.unseen} orders were served by the provider sandbox, whose ledger cannot be read now: "
            "for them the ledger was not checked"
        )
    return report

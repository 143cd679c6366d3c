"""The audit: drain, read, judge; and where something is wrong, read once more before saying so."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from checkout_audit.drain import InFlight, drain
from checkout_audit.leftovers import work_left
from checkout_audit.loading import Reader, connections
from checkout_audit.orders import one_order_per_key
from checkout_audit.report import Report
from checkout_audit.slicing import SLICE, slices_of
from checkout_audit.snapshot import ClientObservation
from checkout_audit.streaming import PART, Stream, judge_slices
from checkout_audit.tables import Among, Subjects
from checkout_audit.target import Target
from checkout_audit.workers import judge_side_by_side, processes_for

WAIT: Final = 60.0
"""Seconds to wait until nothing is in flight."""
PAUSE_BEFORE_RECHECK: Final = 1.0
"""Seconds before a second look: what is gone by then was a redelivered message on its way through an outbox."""
RECHECK_WAIT: Final = 10.0
"""Seconds to wait until nothing is in flight before a second look."""


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What is known besides the databases.

    `history` is what clients were told, if that is known; `accounted` the ids of dead letters that are expected;
    `slice_size` the number of orders that are held in memory at a time; `since`: only orders that changed since then;
    `processes`: how many judge side by side, by default as many as pay.
    """

    history: tuple[ClientObservation, ...] | None = None
    accounted: frozenset[str] = frozenset()
    slice_size: int = SLICE
    since: datetime | None = None
    processes: int | None = None


async def examine(
    target: Target,
    options: AuditOptions = AuditOptions(),
    wait: float = WAIT,
    on_wait: Callable[[InFlight], None] = lambda in_flight: None,
    on_slice: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Wait at most `wait` seconds until nothing is in flight, then judge.

    `on_wait` is told what is in flight, `on_slice` how many slices of how many are judged.

    Raises:
        Unreachable: A database or the sandbox's ledger cannot be read.
    """
    started = time.monotonic()
    in_flight = await drain(target.databases, wait, on_wait)
    report = await _judge(target, options, on_slice)
    if not report.consistent and not in_flight:
        await asyncio.sleep(PAUSE_BEFORE_RECHECK)
        in_flight = await drain(target.databases, min(wait, RECHECK_WAIT), on_wait)
        first, report = report, await _judge(target, options, on_slice)
        if report.consistent:
            numbers = ", ".join(map(str, sorted(first.violated)))
            report.notes.append(f"a first look found something in flight (invariants {numbers}); a second one did not")
    if in_flight:
        report.drained = False
        report.notes.append(f"not drained within {wait:g} s: {in_flight}")
    report.seconds = time.monotonic() - started
    return report


def audit(target: Target, options: AuditOptions = AuditOptions(), wait: float = WAIT) -> Report:
    """`examine` for callers without an event loop."""
    return asyncio.run(examine(target, options, wait))


async def _judge(target: Target, options: AuditOptions, on_slice: Callable[[int, int], None]) -> Report:
    ledger = await target.ledger()
    async with connections(target.databases) as databases:
        reader = Reader(databases, ledger)
        if options.since is None:
            slices: list[Among] = [*await slices_of(databases, options.slice_size)]
            stream = Stream(reader)
            processes = options.processes or processes_for(len(slices))
            if processes > 1:
                moment, databases_of = await reader.moment(), target.databases
                await asyncio.to_thread(judge_side_by_side, stream, databases_of, moment, slices, processes, on_slice)
            else:
                await judge_slices(stream, slices, on_slice)
            return await whole(stream, options)
        changed = await reader.changed(options.since)
        some = [Subjects(tuple(changed[first : first + PART])) for first in range(0, len(changed), PART)]
        report = await judged(reader, some, options, on_slice)
        report.notes.append(
            f"of single orders, only the {len(changed)} were checked that changed since "
            f"{options.since.isoformat(timespec='seconds')}; stock and keys were checked for all"
        )
        return report


async def judged(
    reader: Reader, slices: Sequence[Among], options: AuditOptions, on_slice: Callable[[int, int], None]
) -> Report:
    """Judge slice after slice, then what concerns all of them together."""
    stream = Stream(reader)
    await judge_slices(stream, slices, on_slice)
    return await whole(stream, options)


async def whole(stream: Stream, options: AuditOptions) -> Report:
    """The report on all slices, with what concerns all of them together."""
    reader, report = stream.reader, stream.report
    keyed, stocked, left, told = (report.findings[number - 1] for number in (1, 5, 8, 10))
    if options.since is not None or stream.keys_seen_twice():
        keyed.add(0, one_order_per_key(await reader.with_shared_keys()))
    left.add(0, work_left(replace(await reader.work_left(), accounted=options.accounted)))
    totals = stream.stock if options.since is None else await reader.totals()
    totals.received.update(reader.initial())
    stock = await reader.stock()
    stocked.add(len(stock), totals.violations(stock))
    if options.history is not None:
        told.check(await reader.told(options.history))
    if report.tally.pruned:
        report.notes.append(
            f"{report.tally.pruned} orders are beyond retention: they were checked by their final rows, against "
            "each other and the provider's ledger; what led there is deleted"
        )
    if report.tally.unread:
        report.notes.append(
            f"{report.tally.unread} orders were served by the provider sandbox, whose ledger cannot be read now: "
            "for them the ledger was not checked"
        )
    return report

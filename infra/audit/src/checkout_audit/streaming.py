"""The audit in slices of bounded size: each order is judged by its shape, or by itself if its shape is new or wrong."""

import asyncio
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from checkout_audit.conservation import StockTotals
from checkout_audit.invariants import INVARIANTS, Scope
from checkout_audit.loading import Reader
from checkout_audit.orders import accepted_is_existing, exist_once, placed
from checkout_audit.report import Finding, Report, Tally
from checkout_audit.shapes import Asked, Shapes, Values, Verdict, restock_of, shape_of
from checkout_audit.single import split
from checkout_audit.snapshot import Snapshot, Violation
from checkout_audit.sources import SOURCES, TIME, Bundle, Unmarkable
from checkout_audit.tables import Among, Subjects

PART: Final = 250
"""How many orders are read as values at a time."""
KEY_PARTS: Final = 64
"""How many parts the keys of all orders are compared in."""
BREATH: Final = 100
"""Orders after which the databases are attended to."""
BY_THEMSELVES: Final = tuple(
    replace(one, check=accepted_is_existing) if one.check is exist_once else one for one in INVARIANTS
)
"""The invariants; the keys of all orders are compared at the end."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One subject: its bundle, its shape, and its own values, or the SKU and quantity of a restock."""

    subject: str
    bundle: Bundle
    shape: bytes
    values: Values | tuple[str, int]


@dataclass(frozen=True, slots=True)
class Part:
    """What a stream knows after some slices, as plain values that another process can be sent.

    `findings`: of each invariant whether it was judged, how much was checked, how much is violated, and the violations.
    """

    findings: Sequence[tuple[bool, int, int, Sequence[Violation]]]
    tally: Tally
    stock: StockTotals
    keys: bytes


@dataclass(slots=True)
class Stream:
    """What is known after some slices: the report, the sums, and the keys that were seen."""

    reader: Reader
    report: Report = field(default_factory=lambda: Report([Finding(one) for one in BY_THEMSELVES]))
    stock: StockTotals = field(default_factory=StockTotals)
    shapes: Shapes = field(default_factory=lambda: Shapes(Snapshot().tolerance))
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: "array[int]" = field(default_factory=lambda: array("q"))
    _counts: Counter[int] = field(default_factory=Counter)
    _verdicts: dict[int, Verdict] = field(default_factory=dict)

    async def judge(self, found: Mapping[bytes, Bundle]) -> None:
        """Judge one slice."""
        alone: list[str] = []
        unknown: dict[bytes, list[_Case]] = defaultdict(list)
        for number, (subject, bundle) in enumerate(found.items()):
            if number % BREATH == 0:
                await asyncio.sleep(0)
            name = subject.decode()
            shaped: Any = shape_of(subject, bundle) or restock_of(subject, bundle)
            if shaped is None:
                alone.append(name)
            else:
                self._take(_Case(name, bundle, *shaped), unknown)
        while unknown:
            firsts = [cases[0] for cases in unknown.values()]
            for first in range(0, len(firsts), PART):
                alone += await self._learn(firsts[first : first + PART])
            rest, unknown = unknown, defaultdict(list)
            for case in (case for cases in rest.values() for case in cases[1:]):
                self._take(case, unknown)
        for first in range(0, len(alone), PART):
            await self.judge_alone(Subjects(tuple(alone[first : first + PART])))

    async def judge_alone(self, among: Among) -> None:
        """Judge these as values."""
        snapshot = await self._values(among)
        self.report.add(snapshot, Scope.SLICE)
        self.stock.add(replace(snapshot, initial={}))
        for row in placed(snapshot):
            if row.state.idempotency_key and row.customer is not None and not row.state.disowned:
                self.keys.append(hash((row.customer.encode(), row.state.idempotency_key.encode())))

    async def bundles(self, among: Among) -> dict[bytes, Bundle] | None:
        """The rows of a slice by subject; None if they have to be read as values."""
        async with self.reading:
            try:
                return await self.reader.bundles(among)
            except Unmarkable:
                return None

    async def _values(self, among: Among) -> Snapshot:
        """The rows as values, without what waits: that is judged for all together."""
        async with self.reading:
            snapshot = await self.reader.slice(among)
        services = {name: replace(one, outbox=(), dead_letters=()) for name, one in snapshot.services.items()}
        return replace(snapshot, services=services)

    def finish(self) -> None:
        """Add up what the shapes say."""
        for identity, count in self._counts.items():
            self.report.repeat(self._verdicts[identity].report, count)
        self._counts.clear()

    def take(self) -> Part:
        """What is known by now. It is forgotten here, but for the shapes."""
        findings = [(one.judged, one.checked, one.violated, one.violations) for one in self.report.findings]
        part = Part(findings, self.report.tally, self.stock, self.keys.tobytes())
        self.report, self.stock = Report([Finding(one) for one in BY_THEMSELVES]), StockTotals()
        self.keys = array("q")
        return part

    def include(self, part: Part) -> None:
        """Add what another stream has taken."""
        for mine, (judged, checked, violated, violations) in zip(self.report.findings, part.findings, strict=True):
            if judged:
                mine.add(checked, violations)
                mine.violated += violated - len(violations)
        self.report.tally.repeat(part.tally, 1)
        self.report.tally.captured.update(part.tally.captured)
        self.stock.include(part.stock)
        self.keys.frombytes(part.keys)

    def keys_seen_twice(self) -> bool:
        """Whether it is likely that two orders have the same customer and key."""
        parts = [array("q") for _ in range(KEY_PARTS)]  # a set of all keys would need ten times the memory of the keys
        for key in self.keys:
            parts[key % KEY_PARTS].append(key)
        return any(len(set(part)) < len(part) for part in parts)

    def _take(self, case: _Case, unknown: dict[bytes, list[_Case]]) -> None:
        verdict = self.shapes.verdict(case.shape, case.bundle.times)
        if verdict is None:
            unknown[case.shape].append(case)
        else:
            self._count(case, verdict)

    def _count(self, case: _Case, verdict: Verdict) -> None:
        self._counts[id(verdict)] += 1
        if isinstance(case.values, tuple):
            sku, quantity = case.values
            self.stock.received[sku] += quantity
            return
        values = case.values
        self.keys.append(hash((values.customer, values.key)))
        self.stock.hold(verdict.held, values.lines)
        if verdict.report.tally.captured:
            self.report.tally.captured[values.currency] += values.total

    async def _learn(self, cases: Sequence[_Case]) -> list[str]:
        """Judge the first ones of new shapes as values; those that are not clean have to be judged by themselves."""
        single = split(await self._values(Subjects(tuple(case.subject for case in cases))))
        alone = []
        for case in cases:
            verdict = _verdict(single.get(case.subject, Snapshot()), case)
            if verdict is None:
                alone.append(case.subject)
                continue
            self._verdicts[id(verdict)] = verdict
            self.shapes.keep(case.shape, verdict)
            self._count(case, verdict)
        return alone


def _verdict(snapshot: Snapshot, case: _Case) -> Verdict | None:
    """The verdict that its whole shape shares; None if it is not clean, or its lines are not as ordered."""
    asked: dict[Asked, None] = {}
    places = {id(time): TIME * number for number, time in enumerate(_times(snapshot))}

    class Traced(Snapshot):
        def late(self, cause: datetime, effect: datetime) -> bool:
            answer = super().late(cause, effect)
            asked[Asked(places[id(cause)], places[id(effect)], answer)] = None
            return answer

    report = Report()
    report.add(Traced(**{name: getattr(snapshot, name) for name in snapshot.__dataclass_fields__}), Scope.SLICE)
    held = next(iter(snapshot.reservations), None)
    if not report.consistent or TIME * len(places) != len(case.bundle.times):
        return None
    if held is not None and held.lines and isinstance(case.values, Values) and held.lines != case.values.lines:
        return None
    return Verdict(report, tuple(asked), held.status if held is not None and held.lines else "")


def _times(snapshot: Snapshot) -> Iterable[datetime]:
    """All times of one subject, in the order of `Bundle.times`."""
    for source in SOURCES:
        records = snapshot.services[source.service]
        if source.table.name == "inbox":
            yield from (row.claimed_at for row in sorted(records.inbox, key=lambda row: row.id))
        elif source.table.name == "journal":
            yield from (row.recorded_at for row in sorted(records.journal, key=lambda row: row.seq))
        elif source.table.name == "ledger":
            entries = [row for row in snapshot.ledger if row.source == source.service]
            yield from (row.at for row in sorted(entries, key=lambda row: row.key))
    yield from (row.at for row in sorted(snapshot.ledger, key=lambda row: row.key) if row.source == "sandbox")


async def judge_slices(
    stream: Stream, slices: Sequence[Among], on_slice: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Judge slice after slice; while one is judged, the next one is read."""
    if not slices:
        return
    following = asyncio.create_task(stream.bundles(slices[0]))
    for number, among in enumerate(slices, 1):
        found = await following
        if number < len(slices):
            following = asyncio.create_task(stream.bundles(slices[number]))
        if found is None:
            await stream.judge_alone(among)
        else:
            await stream.judge(found)
        on_slice(number, len(slices))
    stream.finish()

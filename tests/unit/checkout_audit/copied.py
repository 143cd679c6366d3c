"""A reader of a snapshot in memory: its rows as values, and as the lines that COPY would send of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from checkout_audit.ledger import Ledger
from checkout_audit.rows import Records, subject_of
from checkout_audit.snapshot import ClientObservation, Snapshot
from checkout_audit.sources import CELL, ROW, SOURCES, Bundle, Source, gathered
from checkout_audit.tables import Among, Subjects
from tests.unit.checkout_audit.filled import rows_of

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Copied:
    """What `loading.Reader` does, over a snapshot; `asked` are the subjects that were read as values."""

    snapshot: Snapshot
    asked: list[str]

    @property
    def ledger(self) -> Ledger | None:
        return Ledger(row for row in self.snapshot.ledger if row.source == "sandbox")

    async def bundles(self, among: Among) -> dict[bytes, Bundle]:
        texts = ["".join(lines(source, self.snapshot)).encode() for source in SOURCES]
        return gathered(texts, [row for row in self.snapshot.ledger if row.source == "sandbox"])

    async def slice(self, among: Among) -> Snapshot:
        assert isinstance(among, Subjects)
        self.asked.extend(among.ids)
        ids = set(among.ids)

        def own(service: str) -> Records:
            mine = self.snapshot.services[service]
            return Records(
                tuple(row for row in mine.inbox if subject_of(row.id) in ids),
                tuple(row for row in mine.journal if subject_of(row.id) in ids),
            )

        def of(rows: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(row for row in rows if getattr(row, "state", row).order_id in ids)

        return replace(
            self.snapshot,
            orders=of(self.snapshot.orders),
            reservations=of(self.snapshot.reservations),
            payments=of(self.snapshot.payments),
            shipments=of(self.snapshot.shipments),
            ledger=tuple(row for row in self.snapshot.ledger if row.order_id in ids),
            services={service: own(service) for service in self.snapshot.services},
        )

    async def work_left(self) -> Snapshot:
        return self.snapshot

    async def with_shared_keys(self) -> Snapshot:
        return self.snapshot

    async def told(self, history: tuple[ClientObservation, ...]) -> Snapshot:
        return replace(self.snapshot, history=history)

    async def stock(self) -> tuple[Any, ...]:
        return self.snapshot.stock

    def initial(self) -> Any:
        return self.snapshot.initial


def lines(source: Source, snapshot: Snapshot) -> list[str]:
    """What COPY sends for the statement of this source."""
    rows = sorted(rows_of(source.service, source.table.name, snapshot), key=lambda row: row[source.order or source.key])
    whose: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for number, row in enumerate(rows):
        whose[row[source.key].partition("/")[0], 0 if source.time else number].append(row)
    return [
        f"{_escaped(subject)}\t{_times(source, mine)}\t"
        + _escaped(ROW.decode().join(_row(source, row) for row in mine))
        + "\n"
        for (subject, _), mine in whose.items()
    ]


def _times(source: Source, rows: Sequence[Mapping[str, Any]]) -> str:
    since = [(row[source.time] - _EPOCH) // timedelta(microseconds=1) for row in rows if source.time]
    return f"\\\\x{''.join(f'{one:016x}' for one in since)}" if since else ""


def _row(source: Source, row: Mapping[str, Any]) -> str:
    unknown = "".join(_cell(row[name] is None)[0] for name in source.nullable())
    return CELL.decode().join([unknown, *(_cell(row[name]) for name in source.columns())])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")

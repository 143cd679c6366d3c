"""A reader of a snapshot in memory: its rows as values, and as the lines that COPY would send of them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from checkout_audit.ledger import Ledger
from checkout_audit.rows import Records, subject_of
from checkout_audit.snapshot import ClientObservation, Snapshot
from checkout_audit.sources import SOURCES, Bundle, Source, gathered
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
    names = source.columns()
    ordered = sorted(rows_of(source.service, source.table.name, snapshot), key=lambda row: str(row[source.key]))
    return [
        "".join(f"\\\\x{_number(row[name]):016x}\t" for name in source.numbers)
        + "\t".join(_cell(row[name]) for name in names)
        + "\n"
        for row in ordered
    ]


def _number(value: Any) -> int:
    return value if isinstance(value, int) else (value - _EPOCH) // timedelta(microseconds=1)


def _cell(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")

"""A snapshot taken apart: one for each subject."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from checkout_audit.rows import Records, subject_of
from checkout_audit.snapshot import Snapshot


def split(snapshot: Snapshot) -> dict[str, Snapshot]:
    """One snapshot for each subject."""
    parts: dict[str, dict[Any, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for name in ("orders", "reservations", "payments", "shipments"):
        for row in getattr(snapshot, name):
            parts[getattr(row, "state", row).order_id][name].append(row)
    for name in ("ledger", "unreadable"):
        for entry in getattr(snapshot, name):
            parts[entry.order_id][name].append(entry)
    for service, records in snapshot.services.items():
        for kind, rows in (("inbox", records.inbox), ("journal", records.journal)):
            for row in rows:
                parts[subject_of(row.id)][service, kind].append(row)
    return {subject: _of(snapshot, found) for subject, found in parts.items()}


def _of(snapshot: Snapshot, found: Mapping[Any, list[Any]]) -> Snapshot:
    own: dict[str, Any] = {
        name: tuple(found[name]) for name in ("orders", "reservations", "payments", "shipments", "ledger", "unreadable")
    }
    return replace(
        snapshot,
        **own,
        services={
            service: Records(*(tuple(found[service, kind]) for kind in ("inbox", "journal")))
            for service in snapshot.services
        },
        initial={},
        stock=(),
    )

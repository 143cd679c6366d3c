"""The orders that suffered most, for the report: what each was told, its picture, and its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tests.chaos.drawing import Bar, duration
from tests.chaos.life import Request, Step, life
from tests.chaos.purchases import Purchase
from tests.chaos.series import Clock, suffered

WIDTHS: Final = {"wide": 1080.0, "narrow": 380.0}
"""Of the pictures, for large and for small screens."""
MOST: Final = 6


def worst(
    judged: Sequence[Mapping[str, Any]], orders: Sequence[Purchase], faults: Sequence[Bar], clock: Clock, until: float
) -> list[dict[str, Any]]:
    """The orders that suffered most: those of the journal, with their timelines, or else those of the history."""
    by_key = {(one.customer, one.key): one for one in orders}
    in_journal = {(one["customer"], one["key"]): one for one in judged if (one["customer"], one["key"]) in by_key}
    chosen = [by_key[who] for who in in_journal] + [
        one for one in suffered(orders, until, MOST) if (one.customer, one.key) not in in_journal
    ]
    rows = []
    for one in chosen[: max(MOST, len(in_journal))]:
        row = in_journal.get((one.customer, one.key), {})
        path, operations = steps(row.get("timeline") or (), clock), requests(one, clock)
        pictures = {name: life(one, operations, path, faults, until, width) for name, width in WIDTHS.items()}
        stored = f"{row['status']} {row.get('reason') or ''}".strip() if row else ""
        rows.append(
            {
                "order": one,
                "told": f"{one.status} {one.reason or ''}".strip() if one.status else "nothing",
                "stored": stored,
                "waited": duration(one.seconds(until)),
                "settled": duration(float(row["seconds"])) if row.get("seconds") is not None else "",
                "pictures": pictures,
                "events": events(one, operations, path),
            }
        )
    return rows


def steps(timeline: Iterable[Mapping[str, Any]], clock: Clock) -> list[Step]:
    """The journals' entries about an order, by time."""
    path = [
        Step(
            clock.of_wall(datetime.fromisoformat(one["at"]).timestamp()),
            one["service"],
            one["message"],
            one["kind"],
            str(one.get("cause") or ""),
        )
        for one in timeline
    ]
    return sorted(path, key=lambda one: one.at)


def requests(one: Purchase, clock: Clock) -> list[Request]:
    """The requests of its client, with the answers."""
    ends = {line["id"]: line for line in one.lines if line["type"] != "invoke"}
    operations = []
    for line in one.lines:
        if line["type"] == "invoke":
            end = ends.get(line["id"])
            value = (end or {}).get("value") or {}
            words = (
                value.get("answer"),
                (end or {}).get("status"),
                value.get("cancellation_reason"),
                value.get("code"),
            )
            answer = " ".join(str(word) for word in words if word)
            if value.get("unanswered"):
                answer += f" after {value['unanswered']} attempts without answer"
            how = end["type"] if end else "unknown"
            operations.append(Request(line["op"], clock.at(line), clock.at(end) if end else None, how, answer.strip()))
    return operations


def events(one: Purchase, operations: Iterable[Request], path: Iterable[Step]) -> list[tuple[str, str, str, str]]:
    """(after, who, what, why), by time."""
    rows: list[tuple[float, str, str, str]] = []
    for request in operations:
        rows.append((request.begin, "client", f"asks: {request.op}", ""))
        if request.end is not None:
            rows.append((request.end, "client", f"{request.op}: {request.how}", request.answer))
    for step in path:
        cause = step.cause.rpartition("/")[2]
        what = f"→ {step.message}" if step.kind == "command" else step.message
        rows.append((step.at, step.service, what, f"caused by {cause}" if cause else ""))
    return [(f"{at - one.began:+.3f} s", who, what, why) for at, who, what, why in sorted(rows, key=lambda row: row[0])]

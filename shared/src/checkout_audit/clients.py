"""Invariant 10: what clients were told stays true. And the file in which a load test writes down what they saw.

One JSON object a line: `{"key": "...", "order_id": "..." | null, "seen": "accepted" | "COMPLETED" | "CANCELLED" |
"unknown"}`, and `"customer"` where keys of several customers may be the same. `unknown`: the answer was lost.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from checkout_audit.invariant import Violation
from checkout_audit.orders import FINAL, placed
from checkout_audit.snapshot import OrderRow, Sight, Snapshot

SEEN: Final = ("accepted", *FINAL, "unknown")


class BadHistory(ValueError):
    """The history cannot be read; the message says which line and why."""


def read_history(path: Path) -> tuple[Sight, ...]:
    """What clients saw, each thing once, in the order in which it was first written; raises BadHistory."""
    try:
        with path.open(encoding="utf-8") as lines:
            return tuple(dict.fromkeys(_sights(lines)))
    except (OSError, UnicodeDecodeError) as error:
        raise BadHistory(f"HISTORY={path}: {error}") from error


def _sights(lines: Iterable[str]) -> Iterator[Sight]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _sight(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise BadHistory(f"HISTORY, line {number}: {type(error).__name__}: {error}") from error


def _sight(entry: dict[str, Any]) -> Sight:
    key, order_id, seen, customer = entry["key"], entry["order_id"], entry["seen"], entry.get("customer")
    if not isinstance(key, str) or not isinstance(order_id, str | None) or not isinstance(customer, str | None):
        raise TypeError("key, order_id and customer are texts")
    if seen not in SEEN:
        raise ValueError(f"seen is one of {', '.join(SEEN)}")
    return Sight(key, order_id, seen, customer)


def clients_were_told_the_truth(snapshot: Snapshot) -> list[Violation]:
    """10: what was accepted is there, what was told to be final is final, a key means one order."""
    by_id = {row.order_id: row for row in placed(snapshot)}
    by_key: dict[str, list[OrderRow]] = defaultdict(list)
    for row in by_id.values():
        by_key[row.state.idempotency_key].append(row)
    found: list[Violation] = []
    told: dict[tuple[str | None, str], str] = {}
    for sight in snapshot.history or ():
        if sight.order_id is not None:
            first = told.setdefault((sight.customer, sight.key), sight.order_id)
            if first != sight.order_id:
                what = f"a client was told this order for the key {sight.key}, and {first} before"
                found.append(Violation(sight.order_id, what))
            candidates = [by_id[sight.order_id]] if sight.order_id in by_id else []
        else:
            candidates = [row for row in by_key[sight.key] if sight.customer in (None, row.customer)]
        found += [Violation(sight.order_id or sight.key, what) for what in _untrue(sight, candidates)]
    return found


def _untrue(sight: Sight, candidates: list[OrderRow]) -> Iterator[str]:
    if not candidates:
        if sight.order_id is not None or sight.seen != "unknown":
            yield f"a client was told that it is {sight.seen} (key {sight.key}), and there is no such order"
        return
    if sight.order_id is not None and candidates[0].state.idempotency_key != sight.key:
        yield f"a client was told this order for the key {sight.key}, but it has another key"
    statuses = {row.status for row in candidates}
    if sight.seen in FINAL and sight.seen not in statuses:
        yield f"a client was told that it is {sight.seen}, but it is {', '.join(sorted(statuses))}"

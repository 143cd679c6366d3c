"""Invariant 10: what clients were told stays true. And the file in which a run writes down what they were told.

One JSON object a line, with a `type`. Those of client operations are read here: `invoke`, and with the same `id` `ok`,
`fail` (refused, without effect) or `unknown` (no answer came, as for an `invoke` without any end).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from checkout_audit.invariant import Violation
from checkout_audit.orders import FINAL, placed
from checkout_audit.snapshot import ClientObservation, OrderRow, Snapshot
from order_service.domain import CUSTOMER_REQUESTED

OPS: Final = ("order", "cancel", "read")
ENDS: Final = ("ok", "fail", "unknown")
OTHERS: Final = ("fault", "ready")
CONFLICT: Final = 409  # the answer to a cancellation that came too late
Line = dict[str, Any]


class BadHistory(ValueError):
    """The history cannot be read; the message says which line and why."""


def read_history(path: Path) -> tuple[ClientObservation, ...]:
    """What clients were told, each thing once, in the order in which it was first written; raises BadHistory."""
    try:
        with path.open(encoding="utf-8") as lines:
            return tuple(dict.fromkeys(_sights(lines)))
    except (OSError, UnicodeDecodeError) as error:
        raise BadHistory(f"HISTORY={path}: {error}") from error


def _sights(lines: Iterable[str]) -> Iterator[ClientObservation]:
    """Of each operation that ended, and then of those that did not."""
    running: dict[str, Line] = {}
    for number, text in enumerate(lines, 1):
        try:
            line = _line(json.loads(text))
            if line["type"] == "invoke":
                if running.setdefault(line["id"], line) is not line:
                    raise ValueError(f"the operation {line['id']} began before, and has not ended")
            elif line["type"] in ENDS:
                if running.pop(line["id"], None) is None:
                    raise ValueError(f"the operation {line['id']} ends, and has not begun")
                yield from _told(line)
        except (ValueError, TypeError, KeyError) as error:
            raise BadHistory(f"HISTORY, line {number}: {type(error).__name__}: {error}") from error
    for line in running.values():
        yield from _told(line)


def _line(line: Line) -> Line:
    """The line, if it is one."""
    kind = line["type"]
    if kind in OTHERS:
        return line
    if kind not in ("invoke", *ENDS):
        raise ValueError(f"type is one of {', '.join(('invoke', *ENDS, *OTHERS))}")
    if line["op"] not in OPS:
        raise ValueError(f"op is one of {', '.join(OPS)}")
    if not all(isinstance(line[name], str) for name in ("id", "key", "customer")):
        raise TypeError("id, key and customer are texts")
    if not isinstance(line["order_id"], str | None) or not isinstance(line["value"], dict):
        raise TypeError("order_id is a text or null, and value an object")
    if kind == "ok" and not (isinstance(line["order_id"], str) and isinstance(line["status"], str)):
        raise TypeError("what is ok has an order_id and a status")
    return line


def _told(line: Line) -> Iterator[ClientObservation]:
    """What the end of an operation told its client: nothing, or one thing."""
    key, order_id, customer, how = line["key"], line["order_id"], line["customer"], line["type"]
    if how == "ok":
        yield ClientObservation(key, order_id, line["status"] if line["status"] in FINAL else "accepted", customer)
    elif line["op"] == "order":
        yield ClientObservation(key, order_id, "refused" if how == "fail" else "unknown", customer)
    elif line["op"] == "cancel" and how == "fail" and line["value"].get("answer") == CONFLICT:
        yield ClientObservation(key, order_id, "not cancelled", customer)


def clients_were_told_the_truth(snapshot: Snapshot) -> list[Violation]:
    """10: what was accepted is there, what was refused is not, what is final stays, a key means one order."""
    by_id = {row.order_id: row for row in placed(snapshot)}
    by_key: dict[str, list[OrderRow]] = defaultdict(list)
    for row in by_id.values():
        by_key[row.state.idempotency_key].append(row)
    found: list[Violation] = []
    told: dict[tuple[str | None, str], str] = {}
    asked_again = {(one.customer, one.key) for one in snapshot.history or () if one.seen != "refused"}
    for sight in snapshot.history or ():
        if sight.order_id is not None:
            first = told.setdefault((sight.customer, sight.key), sight.order_id)
            if first != sight.order_id:
                what = f"a client was told this order for the key {sight.key}, and {first} before"
                found.append(Violation(sight.order_id, what))
            candidates = [by_id[sight.order_id]] if sight.order_id in by_id else []
        else:
            candidates = [row for row in by_key[sight.key] if sight.customer in (None, row.customer)]
        if sight.seen == "refused":  # of several requests under one key, those that differ from the first are refused
            candidates = [] if (sight.customer, sight.key) in asked_again else candidates
        found += [Violation(sight.order_id or sight.key, what) for what in _untrue(sight, candidates)]
    return found


def _untrue(sight: ClientObservation, candidates: list[OrderRow]) -> Iterator[str]:
    if sight.seen == "refused":
        if candidates:
            yield f"a client was told that the order under the key {sight.key} was refused, and it exists"
        return
    if not candidates:
        if sight.order_id is not None or sight.seen != "unknown":
            yield f"a client was told that it is {sight.seen} (key {sight.key}), and there is no such order"
        return
    if sight.order_id is not None and candidates[0].state.idempotency_key != sight.key:
        yield f"a client was told this order for the key {sight.key}, but it has another key"
    statuses = {row.status for row in candidates}
    if sight.seen in FINAL and sight.seen not in statuses:
        yield f"a client was told that it is {sight.seen}, but it is {', '.join(sorted(statuses))}"
    reasons = {row.state.cancellation_reason for row in candidates}
    if sight.seen == "not cancelled" and CUSTOMER_REQUESTED in reasons:
        yield "a client was told that it is too late to cancel it, and it was cancelled at the client's request"

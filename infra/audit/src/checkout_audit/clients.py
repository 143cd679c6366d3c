"""Invariant 10: what clients were told stays true. And the file in which a run records what they were told.

The file has one JSON object per line, with a `type`. Client operations are read here: `invoke`, and with the same `id`
`ok`, `fail` (refused, without effect) or `unknown` (no answer came, as for an `invoke` without any end).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from checkout_audit.orders import FINAL, placed
from checkout_audit.rows import OrderRow
from checkout_audit.snapshot import ClientObservation, Snapshot, Violation
from order_service.domain import CUSTOMER_REQUESTED

OPS: Final = ("order", "cancel", "read")
ENDS: Final = ("ok", "fail", "unknown")
OTHERS: Final = ("fault", "ready")  # lines of a run that say nothing about clients
CONFLICT: Final = 409  # the answer to a cancellation that came too late
Line = dict[str, Any]


class BadHistory(ValueError):
    """The history cannot be read; the message says which line and why."""


def read_history(path: Path) -> tuple[ClientObservation, ...]:
    """Read what clients were told, without repeats, in the order in which it was first written.

    Raises:
        BadHistory: The file cannot be read, or a line is not valid.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            return tuple(dict.fromkeys(_observations(lines)))
    except (OSError, UnicodeDecodeError) as error:
        raise BadHistory(f"HISTORY={path}: {error}") from error


def _observations(lines: Iterable[str]) -> Iterator[ClientObservation]:
    # of each operation that ended, in their order, and then of those that did not
    running: dict[str, Line] = {}
    for number, text in enumerate(lines, 1):
        try:
            line = _valid(json.loads(text))
            if line["type"] == "invoke":
                if running.setdefault(line["id"], line) is not line:
                    raise ValueError(f"the operation {line['id']} began before, and has not ended")
            elif line["type"] in ENDS:
                if running.pop(line["id"], None) is None:
                    raise ValueError(f"the operation {line['id']} ends, and has not begun")
                yield from _observation(line)
        except (ValueError, TypeError, KeyError) as error:
            raise BadHistory(f"HISTORY, line {number}: {type(error).__name__}: {error}") from error
    for line in running.values():
        yield from _observation(line)


def _valid(line: Line) -> Line:
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


def _observation(line: Line) -> Iterator[ClientObservation]:
    """What the end of an operation told its client: one thing, or nothing."""
    key, order_id, customer, end = line["key"], line["order_id"], line["customer"], line["type"]
    if end == "ok":
        yield ClientObservation(key, order_id, line["status"] if line["status"] in FINAL else "accepted", customer)
    elif line["op"] == "order":
        yield ClientObservation(key, order_id, "refused" if end == "fail" else "unknown", customer)
    elif line["op"] == "cancel" and end == "fail" and line["value"].get("answer") == CONFLICT:
        yield ClientObservation(key, order_id, "not cancelled", customer)


def clients_were_told_the_truth(snapshot: Snapshot) -> list[Violation]:
    """10: what was accepted is there, what was refused is not, what is final stays, a key means one order."""
    by_id = {row.order_id: row for row in placed(snapshot)}
    by_key: dict[str, list[OrderRow]] = defaultdict(list)
    for row in by_id.values():
        by_key[row.state.idempotency_key].append(row)
    history = snapshot.history or ()
    # Of several requests under one key, those that differ from the first are refused, although the order exists
    accepted_keys = {(one.customer, one.key) for one in history if one.answer != "refused"}
    violations: list[Violation] = []
    first_ids: dict[tuple[str | None, str], str] = {}
    for observation in history:
        key = (observation.customer, observation.key)
        if observation.order_id is not None:
            first = first_ids.setdefault(key, observation.order_id)
            if first != observation.order_id:
                what = f"a client was told this order for the key {observation.key}, and {first} before"
                violations.append(Violation(observation.order_id, what))
            candidates = [by_id[observation.order_id]] if observation.order_id in by_id else []
        else:
            candidates = [row for row in by_key[observation.key] if observation.customer in (None, row.customer)]
        if observation.answer == "refused" and key in accepted_keys:
            candidates = []
        subject = observation.order_id or observation.key
        violations += [Violation(subject, what) for what in _untrue(observation, candidates)]
    return violations


def _untrue(observation: ClientObservation, candidates: list[OrderRow]) -> Iterator[str]:
    answer, key = observation.answer, observation.key
    if answer == "refused":
        if candidates:
            yield f"a client was told that the order under the key {key} was refused, and it exists"
        return
    if not candidates:
        if observation.order_id is not None or answer != "unknown":
            yield f"a client was told that it is {answer} (key {key}), and there is no such order"
        return
    if observation.order_id is not None and candidates[0].state.idempotency_key != key:
        yield f"a client was told this order for the key {key}, but it has another key"
    statuses = {row.status for row in candidates}
    if answer in FINAL and answer not in statuses:
        yield f"a client was told that it is {answer}, but it is {', '.join(sorted(statuses))}"
    reasons = {row.state.cancellation_reason for row in candidates}
    if answer == "not cancelled" and CUSTOMER_REQUESTED in reasons:
        yield "a client was told that it is too late to cancel it, and it was cancelled at the client's request"

"""The history of a run, one JSON object a line: client operations, faults and the readiness of the services.

Load tests, chaos and benches write the same format. Several processes may append to one file at once: each line is
appended by a single write. Every line has `at` (wall clock, seconds since 1970), `mono` (the machine's monotonic clock,
seconds), `process` (who wrote it) and `type`. `docs/reliability.md` describes all fields.
"""

import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE: Final = "history.jsonl"
OPS: Final = ("order", "cancel", "read")
COMPLETIONS: Final = ("ok", "fail", "unknown")
STATUSES: Final = ("ready", "degraded", "unready", "unreachable")
Line = Mapping[str, Any]


class History:
    """Appends to a file; creates it and its folder if missing. `process` must differ between writers."""

    def __init__(self, path: Path, process: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._process = process
        self._numbers = itertools.count(1)

    def invoke(
        self,
        op: str,
        customer: str,
        key: str,
        *,
        order_id: str | None = None,
        kind: str = "",
        value: Mapping[str, Any] | None = None,
    ) -> "Operation":
        """Record that a client is about to send a request, which the operation that is returned must end.

        Args:
            op: One of OPS.
            customer: Who sends it.
            key: The order's Idempotency-Key.
            order_id: The order, where the client knows it.
            kind: The kind of order, see `loadtests.shoppers`.
            value: What is asked for.

        Raises:
            ValueError: `op` is not one of OPS.
        """
        if op not in OPS:
            raise ValueError(f"op={op!r} is not one of {', '.join(OPS)}")
        number = f"{self._process}-{next(self._numbers)}"
        about = {"op": op, "id": number, "customer": customer, "key": key, "kind": kind}
        operation = Operation(self, about, order_id, time.monotonic())
        self.write("invoke", **about, order_id=order_id, value=dict(value or {}))
        return operation

    def fault(self, phase: str, fault: str, target: str, felt: bool | None = None, detail: str = "") -> None:
        """Record that a fault begins (`phase` start) or has ended (`end`; `felt`: whether the system noticed it).

        Raises:
            ValueError: `phase` is neither start nor end.
        """
        if phase not in ("start", "end"):
            raise ValueError(f"phase={phase!r} is not one of start, end")
        self.write("fault", phase=phase, fault=fault, target=target, felt=felt, detail=detail)

    def ready(self, service: str, status: str, reasons: Sequence[str] = ()) -> None:
        """Record that the readiness of a service has changed to this; see `loadtests.readiness`.

        Raises:
            ValueError: `status` is not one of STATUSES.
        """
        if status not in STATUSES:
            raise ValueError(f"status={status!r} is not one of {', '.join(STATUSES)}")
        self.write("ready", service=service, status=status, reasons=list(reasons))

    def write(self, line_type: str, **fields: Any) -> None:
        """Append a line of that type with these fields."""
        clocks = {"at": round(time.time(), 6), "mono": round(time.monotonic(), 6)}
        line = json.dumps({**clocks, "process": self._process, "type": line_type, **fields}, ensure_ascii=True)
        os.write(self._file, f"{line}\n".encode())

    def close(self) -> None:
        """Close the file; a later write raises OSError, and cannot reach another file with the same descriptor."""
        os.close(self._file)
        self._file = -1


@dataclass
class Operation:
    """A request of a client with all its retries under one key, from the first attempt to the last answer.

    It ends once: `ok` (done), `fail` (the server refused; it has had no effect), or `unknown` (no answer came: it may
    have happened, or may still happen). An operation that has no end in the file is unknown, too.
    """

    _history: History
    _about: Mapping[str, Any]
    _order_id: str | None
    _began: float

    def answered(self, status: int, answer: Mapping[str, Any], unanswered: int = 0) -> None:
        """End it by an HTTP answer.

        A refusal (4xx) is certain only if every attempt was answered: an earlier attempt may have been carried out.

        Args:
            status: The HTTP status.
            answer: The body: an order, or problem details.
            unanswered: How many attempts before had no answer, or one from a gateway (502 to 504).
        """
        if status in (200, 202):
            reason = answer.get("cancellation_reason")
            more = {"answer": status, "unanswered": unanswered, "cancellation_reason": reason}
            self.ok(answer["order_id"], answer["status"], **more)
        elif 400 <= status < 500 and not unanswered:
            self.fail(answer=status, code=answer.get("code"))
        else:
            self.unknown(answer=status, unanswered=unanswered)

    def ok(self, order_id: str, status: str, **value: Any) -> None:
        """End it: the server answered with the order, which had this status."""
        self._order_id = order_id
        self._end("ok", status, value)

    def fail(self, **value: Any) -> None:
        """End it: the server refused. `value` holds `answer`, the HTTP status, and why."""
        self._end("fail", None, value)

    def unknown(self, **value: Any) -> None:
        """End it: no answer says whether it happened."""
        self._end("unknown", None, value)

    def _end(self, how: str, status: str | None, value: Mapping[str, Any]) -> None:
        milliseconds = round((time.monotonic() - self._began) * 1000, 2)
        ending = {"order_id": self._order_id, "status": status, "ms": milliseconds, "value": dict(value)}
        self._history.write(how, **self._about, **ending)


@contextmanager
def appending(path: Path, process: str) -> Iterator[History]:
    """Open a history for the block."""
    history = History(path, process)
    try:
        yield history
    finally:
        history.close()


def read_lines(path: Path) -> list[Line]:
    """Read all lines, in the order of the monotonic clock.

    Raises:
        ValueError: A line is not one of a history; the message names the first.
    """
    lines: list[Line] = []
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                line = json.loads(text)
                if not isinstance(line["type"], str) or not isinstance(line["mono"], float | int):
                    raise ValueError("type must be a text and mono a number")
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"{path}, line {number}: {type(error).__name__}: {error}") from error
            lines.append(line)
    return sorted(lines, key=lambda line: float(line["mono"]))

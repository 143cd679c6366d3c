"""The file in which a run writes down what clients were told."""

import json
from pathlib import Path
from typing import Any

import pytest

from checkout_audit.clients import BadHistory, read_history
from checkout_audit.snapshot import ClientObservation

INVOKE = {"type": "invoke", "op": "order", "id": "1", "customer": "bob", "key": "k", "order_id": None, "value": {}}
OK = INVOKE | {"type": "ok", "order_id": "o", "status": "PENDING", "ms": 1.5}
CANCEL = {"op": "cancel", "order_id": "o"}
READ = {"op": "read", "order_id": "o"}


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "history.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def again(number: str, *lines: dict[str, Any]) -> list[dict[str, Any]]:
    return [line | {"id": number} for line in lines]


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ({"type": "ok", "order_id": "o", "status": "PENDING"}, ("o", "accepted")),
        ({"type": "ok", "order_id": "o", "status": "CONFIRMED"}, ("o", "accepted")),
        ({"type": "ok", "order_id": "o", "status": "COMPLETED"}, ("o", "COMPLETED")),
        ({"type": "fail", "value": {"answer": 422}}, (None, "refused")),
        ({"type": "unknown"}, (None, "unknown")),
        (CANCEL | {"type": "ok", "status": "CANCELLED"}, ("o", "CANCELLED")),
        (CANCEL | {"type": "fail", "value": {"answer": 409}}, ("o", "not cancelled")),
        (CANCEL | {"type": "fail", "value": {"answer": 429}}, None),
        (CANCEL | {"type": "unknown"}, None),
        (READ | {"type": "ok", "status": "CANCELLED"}, ("o", "CANCELLED")),
        (READ | {"type": "fail", "value": {"answer": 404}}, None),
    ],
)
def test_the_end_of_an_operation_is_what_its_client_was_told(
    end: dict[str, Any], told: tuple[str | None, str] | None, tmp_path: Path
) -> None:
    begin = INVOKE | {name: end[name] for name in ("op",) if name in end}
    observations = read_history(written(tmp_path, begin, INVOKE | end))
    assert observations == ((ClientObservation("k", *told, "bob"),) if told else ())


def test_repeated_observations_count_once_and_other_lines_do_not_count(tmp_path: Path) -> None:
    fault = {"type": "fault", "phase": "start", "fault": "kill", "target": "payment"}
    ready = {"type": "ready", "service": "order", "status": "ready", "reasons": []}
    path = written(tmp_path, ready, INVOKE, fault, OK, *again("2", INVOKE, OK))
    assert read_history(path) == (ClientObservation("k", "o", "accepted", "bob"),)


def test_an_operation_without_an_end_is_unknown_and_concurrent_ones_are_distinguished(tmp_path: Path) -> None:
    other = INVOKE | {"id": "2", "key": "l"}
    assert read_history(written(tmp_path, other, INVOKE, OK)) == (
        ClientObservation("k", "o", "accepted", "bob"),
        ClientObservation("l", None, "unknown", "bob"),
    )


def without(line: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != name}


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "",
        '{"key": "k", "order_id": null, "seen": "accepted"}',
        INVOKE,
        OK | {"id": "9"},
        OK | {"type": "done"},
        OK | {"op": "pay"},
        OK | {"key": 7},
        without(OK, "customer"),
        without(OK, "status"),
        OK | {"order_id": None},
        OK | {"order_id": 7, "type": "unknown"},
        INVOKE | CANCEL | {"type": "fail", "value": None},
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: Any, tmp_path: Path) -> None:
    with pytest.raises(BadHistory, match="line 2"):
        read_history(written(tmp_path, INVOKE, line))


def test_a_missing_file_is_an_error_and_no_empty_history(tmp_path: Path) -> None:
    with pytest.raises(BadHistory, match="HISTORY="):
        read_history(tmp_path / "nothing")

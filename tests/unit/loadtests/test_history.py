"""The file that load tests, chaos and benches write."""

import json
import threading
import time
from pathlib import Path

import pytest

from checkout_audit.clients import read_history
from checkout_audit.snapshot import ClientObservation
from loadtests.history import History, Line, Operation, appending, read_lines


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "folder" / "history.jsonl", "shoppers")


def lines(folder: Path) -> list[Line]:
    return read_lines(folder / "folder" / "history.jsonl")


def order(history: History, key: str = "k") -> Operation:
    return history.invoke("order", "alice", key, kind="good", value={"country": "LV"})


def test_an_operation_has_a_begin_and_an_end_with_one_id(history: History, tmp_path: Path) -> None:
    before = (time.time(), time.monotonic())
    operation = order(history)
    order(history, "l")
    operation.ok("o", "COMPLETED", answer=200)
    begin, other, end = lines(tmp_path)
    same = {"op": "order", "customer": "alice", "key": "k", "kind": "good", "process": "shoppers"}
    assert begin.items() >= (same | {"type": "invoke", "order_id": None}).items()
    assert begin["value"] == {"country": "LV"}
    assert end.items() >= (same | {"type": "ok", "order_id": "o", "status": "COMPLETED"}).items()
    assert end["value"] == {"answer": 200}
    assert end["id"] == begin["id"] != other["id"]
    assert end["ms"] == pytest.approx((end["mono"] - begin["mono"]) * 1000, abs=1)
    assert begin["at"] == pytest.approx(before[0], abs=5)
    assert begin["mono"] == pytest.approx(before[1], abs=5)


@pytest.mark.parametrize(
    ("status", "unanswered", "how"),
    [
        (200, 0, "ok"),
        (202, 3, "ok"),
        (422, 0, "fail"),
        (422, 1, "unknown"),
        (500, 0, "unknown"),
    ],
)
def test_a_refusal_is_certain_only_where_every_attempt_was_answered(
    status: int, unanswered: int, how: str, history: History, tmp_path: Path
) -> None:
    order(history).answered(
        status, {"order_id": "o", "status": "CANCELLED", "cancellation_reason": "TIMED_OUT", "code": "c"}, unanswered
    )
    end = lines(tmp_path)[1]
    assert (end["type"], end["value"]["answer"]) == (how, status)
    assert (end["status"], end["order_id"]) == (("CANCELLED", "o") if how == "ok" else (None, None))


def test_faults_and_readiness_stand_in_the_same_file(history: History, tmp_path: Path) -> None:
    history.fault("start", "kill", "payment")
    history.ready("payment", "unreachable", ["ConnectError"])
    history.fault("end", "kill", "payment", felt=True, detail="pid 1 -> 2")
    started, ready, ended = lines(tmp_path)
    assert (started["type"], started["phase"], started["felt"]) == ("fault", "start", None)
    assert (ready["type"], ready["status"], ready["reasons"]) == ("ready", "unreachable", ["ConnectError"])
    assert (ended["phase"], ended["felt"], ended["detail"]) == ("end", True, "pid 1 -> 2")


def test_what_is_no_operation_phase_or_status_is_refused(history: History) -> None:
    with pytest.raises(ValueError, match="op='pay'"):
        history.invoke("pay", "alice", "k")
    with pytest.raises(ValueError, match="phase='now'"):
        history.fault("now", "kill", "payment")
    with pytest.raises(ValueError, match="status='not ready'"):
        history.ready("order", "not ready")


def test_several_writers_append_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"

    def write(name: str) -> None:
        with appending(path, name) as history:
            for number in range(200):
                order(history, f"{name}-{number}").ok("o" * 500, "PENDING")

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(written) == len(threads) * 400
    assert len({line["id"] for line in written}) == len(threads) * 200


def test_what_is_written_after_the_end_goes_nowhere(tmp_path: Path) -> None:
    with appending(tmp_path / "history.jsonl", "a") as history:
        operation = order(history)
    with (tmp_path / "other").open("w"), pytest.raises(OSError, match="Bad file descriptor"):
        operation.unknown()
    assert (tmp_path / "other").read_text() == ""


def test_the_auditor_reads_what_was_written(history: History, tmp_path: Path) -> None:
    order(history).answered(200, {"order_id": "o", "status": "COMPLETED", "cancellation_reason": None})
    order(history, "l").answered(422, {"code": "unknown_sku"})
    history.invoke("cancel", "alice", "k", order_id="o").answered(409, {"code": "order_confirmed"})
    history.fault("start", "kill", "payment")
    history.ready("order", "degraded", ["kafka is away"])
    order(history, "m")
    assert read_history(tmp_path / "folder" / "history.jsonl") == (
        ClientObservation("k", "o", "COMPLETED", "alice"),
        ClientObservation("l", None, "refused", "alice"),
        ClientObservation("k", "o", "not cancelled", "alice"),
        ClientObservation("m", None, "unknown", "alice"),
    )


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"mono": 1}', '{"type": "ok", "mono": "1"}'])
def test_a_line_that_cannot_be_read_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(f'{{"type": "ok", "mono": 1}}\n{line}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_lines(path)


def test_lines_are_read_in_the_order_of_the_monotonic_clock(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("".join(f'{{"type": "ready", "mono": {mono}}}\n' for mono in (2, 1.5, 3)))
    assert [line["mono"] for line in read_lines(path)] == [1.5, 2, 3]

"""What became of the orders of a run: those without an end count as late, and none is left out."""

from pathlib import Path
from typing import Any

import pytest

from loadtests.bench import sights as module
from loadtests.bench.record import LATE, Seen
from loadtests.bench.sights import Sight, seen, sights
from loadtests.history import FILE, appending

BEGAN = {"type": "invoke", "op": "order", "key": "k", "mono": 10.0}


def ended(how: str, status: str | None = None, at: float = 10.5, **value: Any) -> dict[str, Any]:
    return {"type": how, "op": "order", "key": "k", "mono": at, "status": status, "value": value}


@pytest.mark.parametrize(
    ("lines", "end", "ms"),
    [
        ([ended("ok", "COMPLETED")], "completed", 500.0),
        ([ended("ok", "PLACED"), {**BEGAN, "mono": 30.0}, ended("ok", "COMPLETED", at=31.0)], "completed", 21_000.0),
        ([ended("ok", "PLACED")], "timed out", LATE),
        ([ended("ok", "PLACED"), {**BEGAN, "mono": 30.0}], "timed out", LATE),
        ([ended("ok", "CANCELLED", cancellation_reason="TIMED_OUT")], "timed out", LATE),
        ([ended("ok", "CANCELLED", cancellation_reason="OUT_OF_STOCK")], "failed", LATE),
        ([ended("fail", answer=422)], "failed", LATE),
        ([ended("unknown", unanswered=9)], "timed out", LATE),
        ([], "timed out", LATE),
    ],
)
def test_the_end_of_an_order_and_its_time_from_its_arrival(lines: list[Any], end: str, ms: float) -> None:
    assert sights([BEGAN, *lines]) == [Sight(10.0, end, ms)]  # type: ignore[arg-type]


def test_an_order_that_must_be_refused_is_right_when_it_is_and_only_then() -> None:
    declined = {**BEGAN, "kind": "declined"}
    refused = {**ended("ok", "CANCELLED", cancellation_reason="PAYMENT_DECLINED"), "kind": "declined"}
    assert sights([declined, refused]) == [Sight(10.0, "completed", 500.0)]
    sold_out = {**ended("ok", "CANCELLED", cancellation_reason="OUT_OF_STOCK"), "kind": "declined"}
    assert sights([declined, sold_out]) == [Sight(10.0, "failed", LATE)]
    charged = {**ended("ok", "COMPLETED"), "kind": "declined"}
    assert sights([declined, charged])[0].end != "completed"


def test_lines_of_other_kinds_say_nothing_about_orders() -> None:
    assert sights([{"type": "ready", "mono": 1.0}, {"type": "fault", "mono": 2.0}]) == []


def test_only_the_steady_window_counts_and_an_order_without_an_end_is_slower_than_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    orders = [Sight(float(second), "completed", 10.0 * second) for second in range(100, 112)]
    orders[5] = Sight(105.0, "failed", LATE)
    orders[6] = Sight(106.0, "timed out", LATE)
    monkeypatch.setattr(module, "read_lines", lambda path: [])
    monkeypatch.setattr(module, "sights", lambda lines: orders)
    assert seen(tmp_path, settle=2, duration=8) == Seen(8, 1, 1, 0.75, 1070.0, LATE, LATE)


def test_the_history_that_clients_write_is_understood(tmp_path: Path) -> None:
    with appending(tmp_path / FILE, "shoppers") as history:
        for key in ("a", "b"):
            history.invoke("order", "alice", key).answered(200, {"order_id": key, "status": "COMPLETED"})
        history.invoke("order", "alice", "c").answered(409, {"code": "conflict"})
    figures = seen(tmp_path / FILE, settle=0, duration=20)
    assert (figures.placed, figures.timed_out, figures.failed, figures.rate) == (3, 0, 1, 0.1)
    assert figures.p50 < LATE == figures.p99


def test_without_an_order_there_are_no_figures(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("")
    assert seen(tmp_path / FILE, settle=1, duration=5).placed == 0

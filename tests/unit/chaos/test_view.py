"""What a run shows while it goes on."""

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.chaos.model import Check, Verdict
from tests.chaos.view import Tail, View, show


def operation(number: int, at: float, how: str, **more: Any) -> str:
    return json.dumps({"type": how, "op": "order", "id": f"{number}", "at": at, **more}) + "\n"


def test_the_tail_of_a_history_is_counted_line_by_line_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    tail = Tail(path)
    tail.read()
    done = operation(1, 101.0, "ok", status="COMPLETED", ms=400.0)
    path.write_text(operation(1, 100.0, "invoke") + operation(2, 100.5, "invoke") + done[:20])
    tail.read()
    assert (len(tail.asked), dict(tail.statuses)) == (2, {})
    with path.open("a") as file:
        file.write(done[20:] + operation(2, 101.5, "unknown", status=None, ms=1.0))
        file.write(json.dumps({"type": "fault", "phase": "start"}) + "\n")
    tail.read()
    assert (len(tail.asked), dict(tail.statuses)) == (0, {"COMPLETED": 1, "unknown": 1})
    assert tail.latency(102.0) == 400.0
    assert tail.rate(102.0) == 0.1
    assert tail.latency(200.0) is None


def test_what_is_broken_is_shown_until_it_is_healed() -> None:
    out = io.StringIO()
    view = View(Console(file=out, width=200), "kafka-choreography")
    view.fault("start", "kill", "payment")
    assert "kill payment" in view.line()
    view.fault("end", "kill", "payment", True, "pid 1 → 2 [sic]")
    assert view.line().startswith("nothing is broken")
    output = out.getvalue()
    assert "breaks kill payment" in output
    assert "healed kill payment: felt; pid 1 → 2 [sic]" in output


def test_each_check_is_shown_with_its_verdict() -> None:
    out = io.StringIO()
    show([Check("audit", Verdict.FALSE, "order-9 [twice]")], "pubsub", Console(file=out, width=120))
    assert all(word in out.getvalue() for word in ("audit", "false", "order-9 [twice]"))

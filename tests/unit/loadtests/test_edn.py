"""Histories as Jepsen writes them."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.edn import Keyword, edn, main, operations
from loadtests.history import Line, appending


def invoke(number: str, mono: float, **fields: Any) -> Line:
    about = {"type": "invoke", "op": "order", "id": number, "customer": "bob", "key": f"k{number}", "order_id": None}
    return {**about, "mono": mono, "value": {"country": "LV"}, **fields}


def end(number: str, mono: float, how: str = "ok", **fields: Any) -> Line:
    return {**invoke(number, mono), "type": how, "status": None, "ms": 1.0, "value": {"answer": 200}, **fields}


FAULT = {"type": "fault", "phase": "start", "fault": "kill", "target": "payment", "felt": None, "detail": ""}
READY = {"type": "ready", "service": "order", "status": "ready", "reasons": []}


def test_an_operation_is_a_map_with_index_time_process_type_function_and_value() -> None:
    lines = [
        invoke("1", 5.0),
        {**READY, "mono": 5.1},
        end("1", 5.25, order_id="o", status="COMPLETED"),
    ]
    assert [edn(one) for one in operations(lines)] == [
        "{:index 0, :time 0, :process 0, :type :invoke, :f :order, "
        ':value {:customer "bob", :key "k1", :order-id nil, :country "LV"}}',
        "{:index 1, :time 250000000, :process 0, :type :ok, :f :order, "
        ':value {:customer "bob", :key "k1", :order-id "o", :status "COMPLETED", :answer 200}}',
    ]


@pytest.mark.parametrize(("how", "written"), [("ok", ":ok"), ("fail", ":fail"), ("unknown", ":info")])
def test_what_is_unknown_is_info(how: str, written: str) -> None:
    assert f":type {written}," in edn(list(operations([invoke("1", 1), end("1", 2, how)]))[1])


def test_faults_are_what_the_nemesis_did() -> None:
    ended = {**FAULT, "mono": 2.0, "phase": "end", "felt": True}
    assert [edn(one) for one in operations([{**FAULT, "mono": 1.0}, ended])] == [
        '{:index 0, :time 0, :process :nemesis, :type :info, :f :start-kill, :value "payment"}',
        "{:index 1, :time 1000000000, :process :nemesis, :type :info, :f :end-kill, "
        ':value {:target "payment", :felt true}}',
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_process_has_one_operation_at_a_time_and_none_after_an_unknown_one(seed: int) -> None:
    dice = random.Random(seed)
    lines: list[Line] = []
    open_: list[str] = []
    for number in range(300):
        if open_ and dice.random() < 0.5:
            done = open_.pop(dice.randrange(len(open_)))
            lines.append(end(done, number, dice.choice(("ok", "fail", "unknown"))))
        else:
            open_.append(str(number))
            lines.append(invoke(str(number), number))
    busy: dict[int, str] = {}
    crashed: set[int] = set()
    for line, one in zip(lines, operations(lines), strict=True):
        process = one["process"]
        assert process not in crashed
        if one["type"] == "invoke":
            assert busy.setdefault(process, line["id"]) == line["id"]
            continue
        assert busy.pop(process) == line["id"]
        if one["type"] == "info":
            crashed.add(process)
    assert crashed
    assert len(busy) == len(open_)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "nil"),
        (True, "true"),
        (-1.5, "-1.5"),
        ([1, [Keyword("a")]], "[1 [:a]]"),
        ({"sku_id": "x", "two words": {}, "ä": 1}, '{:sku-id "x", "two words" {}, "ä" 1}'),
    ],
)
def test_values_are_written_as_edn(value: Any, written: str) -> None:
    assert edn(value) == written


def test_what_edn_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="no EDN for object"):
        edn(object())


@given(st.text())
def test_every_text_can_be_read_back(text: str) -> None:
    """The escapes that are used mean the same in JSON."""
    assert json.loads(edn(text)) == text


@pytest.mark.parametrize(
    "lines", [[end("1", 1)], [invoke("1", 1), end("1", 2), end("1", 3)], [invoke("1", 1), end("1", 2, "done")]]
)
def test_an_end_without_a_begin_is_no_history(lines: list[Line]) -> None:
    with pytest.raises(ValueError, match="has not begun"):
        list(operations(lines))


def test_the_command_prints_a_line_for_each_operation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.jsonl"
    with appending(path, "shoppers") as history:
        history.invoke("order", "alice", "k").answered(422, {"code": "unknown_sku"})
        history.ready("order", "ready")
        history.fault("start", "kill", "payment")
    assert main([str(path)]) == 0
    begin, refused, fault = capsys.readouterr().out.splitlines()
    assert ":type :invoke, :f :order" in begin
    assert ":type :fail" in refused
    assert ':code "unknown_sku"' in refused
    assert ":f :start-kill" in fault


def test_without_a_history_it_says_so_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"type": "ok", "mono": 1}\n')
    for arguments in ([], [str(tmp_path / "nothing")], [str(broken)]):
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1

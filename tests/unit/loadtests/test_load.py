"""The figures of `make load`, and when it passes."""

import re
from math import ceil
from pathlib import Path

import pytest

from loadtests.history import appending
from loadtests.objectives import parse
from loadtests.outcomes import FILE, Figures, Outcomes, figures
from loadtests.run import annotated, invocation, judge, settings
from loadtests.shapes import SHAPES
from loadtests.shoppers import KINDS, mix
from loadtests.trace import trace


def write(folder: Path, *orders: tuple[str, float, str | None]) -> None:
    outcomes = Outcomes(folder / FILE)
    for order in orders:
        outcomes.add(*order)
    outcomes.close()


def test_figures_are_told_for_each_kind_of_order(tmp_path: Path) -> None:
    write(tmp_path, ("good", 30, None), ("cancelled", 5.5, None), ("good", 10, "late"), ("good", 20, "late"))
    assert figures(tmp_path / FILE) == {
        "cancelled": Figures(1, 0, {}, 5.5, 5.5, 5.5),
        "good": Figures(3, 2, {"late": 2}, 20, 30, 30),
    }


GOOD_30 = [("good", 30.0, None)]


@pytest.mark.parametrize(
    ("orders", "objectives", "content", "said"),
    [
        (GOOD_30, "", True, "good"),
        (GOOD_30, "good.p95<31", True, "good"),
        (GOOD_30, "good.p95<30", False, "objective missed: good.p95<30, but it is 30"),
        ([("declined", 30.0, None)], "good.p95<31", False, "but there was no such order"),
        ([("good", 1.0, None), ("flaky-provider", 1.0, "answered 0: None")], "", False, "answered 0: None (1 times)"),
        ([("good", 1.0, None), ("good", 1.0, "late")], "failed<60%", True, "late (1 times)"),
        ([("good", 1.0, None), ("good", 1.0, "late")], "failed<50%", False, "objective missed: failed<50%"),
        ([("good", ms, None) for ms in (10.0, 10.0, 10.0)], "drift<1.5", True, "good"),
        ([("good", ms, None) for ms in (10.0, 10.0, 16.0)], "drift<1.5", False, "but it is 1.6"),
        ([], "", False, "nothing was measured"),
    ],
)
def test_a_load_passes_if_every_order_ended_well_and_the_objectives_are_met(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    orders: list[tuple[str, float, str | None]],
    objectives: str,
    content: bool,
    said: str,
) -> None:
    write(tmp_path, *orders)
    assert (not judge(tmp_path, parse(objectives), 1.0)) is content
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["p95<3", "good.p95", "gold.p95<3", "good.drift<2", "good.p95<x", "good.p95>3"])
def test_an_objective_that_cannot_be_judged_is_refused_before_the_load(wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)):
        settings({"OBJECTIVES": wrong})


def test_the_old_name_of_an_objective_still_works() -> None:
    assert parse(settings({"P95": "250"})["OBJECTIVES"])[0].text == "good.p95<250"


def test_several_processes_share_the_load_and_one_has_the_simple_command(tmp_path: Path) -> None:
    stack = {"ORDER_URL": "http://127.0.0.1:1", "TOKEN_SIGNING_KEY": "k"}
    command, environment = invocation(settings({"WORKERS": "2"}), stack, tmp_path)
    assert command[command.index("--processes") + 1] == "2"
    assert command[command.index("--master-bind-host") + 1] == "127.0.0.1"
    assert command[command.index("--users") + 1] == environment["WORKERS"] == "2"
    assert "--processes" not in invocation(settings({}), stack, tmp_path)[0]


def test_a_trace_has_each_order_once_when_it_arrived(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with appending(path, "shoppers") as history:
        for key, kind in (("a", "good"), ("b", "declined"), ("a", "good"), ("c", "")):
            history.invoke("order", "alice", key, kind=kind)
    orders = trace(path)
    assert [kind.name for _, kind in orders] == ["good", "declined"]
    assert orders[0][0] == 0.0
    assert 0 <= orders[1][0] < 1
    assert settings({"TRACE": str(path)})["DURATION"] == f"{ceil(orders[1][0]) + 3}"
    for wrong in ("", '{"type": "ready", "mono": 1}\n'):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="TRACE="):
            settings({"TRACE": str(path)})
    with pytest.raises(ValueError, match="No such file"):
        settings({"TRACE": str(tmp_path / "missing")})


def test_the_report_says_what_the_audit_said() -> None:
    page = '<html><body class="x"><p></p></body></html>'
    assert "the audit is clean" in annotated(page, [], clean=True)
    text = annotated(page, ["objective missed: good.p95<3"], clean=False)
    assert "the audit is NOT clean; objective missed: good.p95&lt;3</div><p>" in text


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_never_stops_the_load_and_a_soak_is_steady_in_between(shape: str) -> None:
    assert all(0 < SHAPES[shape](step / 100) <= 5 for step in range(101))
    if shape == "soak":
        assert [SHAPES[shape](at) for at in (0.0, 0.05, 0.5, 0.95)] == pytest.approx([0.1, 1.0, 1.0, 1.0])


def test_a_mix_has_the_weights_that_it_names() -> None:
    assert [(kind.name, kind.weight) for kind in mix("good:9,slow:1")] == [("good", 9.0), ("slow", 1.0)]
    assert mix("declined") == tuple(kind for kind in KINDS if kind.name == "declined")
    assert mix("all") == KINDS


@pytest.mark.parametrize("names", ["goood", "good,", "good:0", "good:x", "good:inf"])
def test_a_mix_that_cannot_be_drawn_is_refused(names: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"MIX={names!r}")):
        mix(names)

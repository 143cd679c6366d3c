"""The figures of `make load`, and when it passes."""

import re
from pathlib import Path

import pytest

from loadtests.outcomes import FILE, Figures, Outcomes, figures
from loadtests.run import judge
from loadtests.shoppers import KINDS, mix


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


@pytest.mark.parametrize(
    ("orders", "objective", "content", "said"),
    [
        ([("good", 30.0, None)], None, True, "good"),
        ([("good", 30.0, None)], 30.0, True, "good"),
        ([("good", 30.0, None)], 29.0, False, "objective missed"),
        ([("declined", 30.0, None)], 29.0, True, "declined"),
        ([("good", 1.0, None), ("flaky-provider", 1.0, "answered 0: None")], None, False, "answered 0: None (1 times)"),
        ([], None, False, "nothing was measured"),
    ],
)
def test_a_load_passes_if_every_order_ended_well_and_in_time(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    orders: list[tuple[str, float, str | None]],
    objective: float | None,
    content: bool,
    said: str,
) -> None:
    write(tmp_path, *orders)
    assert judge(tmp_path, objective, 1.0) is content
    assert said in capsys.readouterr().out


def test_a_mix_has_the_weights_that_it_names() -> None:
    assert [(kind.name, kind.weight) for kind in mix("good:9,slow:1")] == [("good", 9.0), ("slow", 1.0)]
    assert mix("declined") == tuple(kind for kind in KINDS if kind.name == "declined")
    assert mix("all") == KINDS


@pytest.mark.parametrize("names", ["goood", "good,", "good:0", "good:x", "good:inf"])
def test_a_mix_that_cannot_be_drawn_is_refused(names: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"MIX={names!r}")):
        mix(names)

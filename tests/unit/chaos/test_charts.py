"""The pictures of the report, by the shapes that they consist of."""

from tests.chaos.charts import Run, overview
from tests.chaos.drawing import Bar, Drawing, Rect, Text


def drawn(*faults: Bar) -> Drawing:
    return overview(Run(100.0, faults, (), (), (), {}), 1048.0, "a run")


def rects(drawing: Drawing, look: str) -> list[Rect]:
    return [shape for shape in drawing.shapes if isinstance(shape, Rect) and shape.look == look]


def test_bands_tell_when_anything_was_broken_and_do_not_pile_up() -> None:
    drawing = drawn(
        Bar(10, 20, "kill payment", "felt", ""),
        Bar(15, 18, "pause order", "felt", ""),
        Bar(19, 30, "cut a->b", "unfelt", ""),
        Bar(50, 50, "switch mode", "felt", ""),
    )
    first, second = rects(drawing, "band")
    a_second = (1040.0 - 44.0) / 100  # of width
    assert (first.x, round(first.width, 1)) == (round(44 + 10 * a_second, 2), round(20 * a_second, 1))
    assert (second.x, second.width) == (round(44 + 50 * a_second, 2), 1.5)
    assert len(rects(drawing, "bar felt")) == 3
    assert len(rects(drawing, "bar unfelt")) == 1


def test_a_run_without_faults_says_so_and_has_no_band() -> None:
    drawing = drawn()
    assert "none" in [shape.text for shape in drawing.shapes if isinstance(shape, Text)]
    assert rects(drawing, "band") == []


def test_everything_is_within_the_drawing() -> None:
    for shape in drawn(Bar(0, 100, "kill payment", "felt", ""), Bar(99, 100, "cut " * 50, "felt", "")).shapes:
        if isinstance(shape, Rect):
            assert shape.x >= 0
            assert shape.x + shape.width <= 1048
            assert shape.y >= 0

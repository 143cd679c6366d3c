"""The report as one HTML file: nothing is loaded from elsewhere, and every question has its table and picture."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from loadtests.bench import charts, questions
from loadtests.bench.charts import Bar, Line
from loadtests.bench.money import read_prices
from loadtests.bench.page import cost, latency, latency_at, page, recovery, saturation
from loadtests.bench.peers.names import FLOORS, PEERS
from loadtests.bench.questions import TABLES, peer_summaries
from loadtests.bench.record import Seen
from loadtests.bench.summary import Spread, summarize
from loadtests.bench.tables import figure
from sagakit.modes import MODES
from tests.unit.loadtests.benches import bench, every_part, mode, record

WHOLE = every_part()


@pytest.fixture(scope="module")
def text() -> str:
    """The report of the whole bench."""
    return page(WHOLE, ["a mode <stalls>"], read_prices())


@pytest.fixture(scope="module")
def svgs() -> list[str]:
    summaries = summarize(WHOLE)
    charts_of_rates = [svg for _, svg in latency(WHOLE, summaries)]
    return [*charts_of_rates, saturation(WHOLE), cost(summaries, peer_summaries(WHOLE)), recovery(WHOLE)]


def test_the_file_needs_no_other_file(text: str) -> None:
    outside = re.findall(r"""(?:src|href)=["']?([^"' >]+)|url\(([^)]+)\)|@import""", text)
    assert all(link.startswith("#") for link, _ in outside)
    assert "<script" not in text
    sources = {one.source for one in read_prices().prices}
    assert {url for url in re.findall(r"https?://[^\s<\"]+", text) if "w3.org" not in url} <= sources


def test_every_question_is_answered_and_every_finding_shown_as_text(text: str) -> None:
    assert all(of(WHOLE).rows for of in TABLES)
    assert "a mode &lt;stalls&gt;" in text
    for name in (*MODES, *WHOLE.plan.peers):
        assert name in text
    assert "make bench MODES=kafka" in text


def test_a_bench_with_steady_runs_only_has_no_empty_sections() -> None:
    short = page(record(), [], read_prices())
    assert "The bench's own checks found nothing" in short
    for title in ("Saturation", "Peers", "Backlog"):
        assert f"<h2>{title}" not in short


def test_every_chart_is_well_formed_and_has_a_title_for_those_who_cannot_see_it(svgs: list[str]) -> None:
    assert len(svgs) == 7
    for svg in svgs:
        root = ElementTree.fromstring(svg)  # noqa: S314 - made by us
        assert root.attrib["role"] == "img"
        assert root[0].tag.endswith("title")
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
            assert 0 <= float(rect.attrib["x"]) <= float(rect.attrib["x"]) + float(rect.attrib["width"]) <= width
            assert 0 <= float(rect.attrib["y"]) <= height


def test_a_line_stays_inside_its_frame_and_its_band_holds_it() -> None:
    svg = charts.lines("t", [Line("a", [(2, 30, 20, 60), (8, 100, 80, 900)], "c1")], "x", "y")
    points = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert len(points) == 2
    assert float(points[0][1]) > float(points[1][1])
    assert 'opacity=".16"' in svg
    flat = charts.lines("t", [Line("a", [(2, 30, 30, 30), (8, 100, 100, 100)], "c1")], "x", "y")
    assert 'opacity=".16"' not in flat


def test_a_bench_at_one_rate_shows_each_latency_with_its_interval() -> None:
    (one,) = summarize(bench(*mode("sns-sqs-choreography")))
    root = ElementTree.fromstring(latency_at([one]))  # noqa: S314 - made by us
    circles = [float(circle.attrib["cx"]) for circle in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert circles == sorted(circles)
    ends = re.findall(r"M([\d.]+) [\d.]+H([\d.]+)", latency_at([one]))
    assert all(float(low) < x < float(high) for (low, high), x in zip(ends, circles, strict=True))
    assert "sns-sqs-choreography *" in latency_at([one]), "an emulator is marked"
    assert latency_at([]) == ""


def test_a_chart_for_a_file_of_its_own_has_fixed_colours() -> None:
    svg = charts.bars("t", [Bar("a", [1.0, 2.0], 2.5, 3.5)], "ms", ("x", "y"))
    for dark in (False, True):
        fixed = charts.themed(svg, dark)
        assert "var(" not in fixed
        assert charts.COLOURS["ground"][dark] in fixed


def test_the_bar_of_a_mode_ends_at_the_median_of_all_its_cpu() -> None:
    first = summarize(WHOLE)[0]
    uneven = replace(first, databases=Spread(first.databases.median + 5, 0, 9))
    assert f"{figure(first.cpu.median)} ms" in cost([uneven], [])


def test_orders_that_did_not_complete_are_not_drawn_as_fast() -> None:
    late = replace(WHOLE, runs=tuple(replace(run, seen=Seen(9, 9, 0, 0, 1.2e5, 1.2e5, 1.2e5)) for run in WHOLE.runs))
    steady = latency(replace(late, runs=tuple(run for run in late.runs if run.part == "steady")), summarize(late))
    assert steady == []


def test_the_questions_count_what_the_runs_have() -> None:
    rows = {row[0]: row for row in questions.saturation(WHOLE).rows}
    assert rows["`kafka-choreography`"][2] == "80.0"
    assert questions.highest(questions.of_part(WHOLE, "saturation")["kafka-choreography"]) == Spread(80.0, 80.0, 80.0)
    assert [row[2] for row in questions.kills(WHOLE).rows] == ["2"] * 4
    assert rows["`kafka-choreography`"][3] == "0.0400", "of the 2,000 checkouts a second of the floor"
    assert rows.popitem()[1][2] == "2,000"
    assert "(emulated)" in rows.popitem()[0]
    assert len(questions.peers(WHOLE).rows) == len(set(PEERS) - set(FLOORS)) + len(MODES)

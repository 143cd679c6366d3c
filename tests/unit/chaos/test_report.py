"""The report of a chaos run: its contents, and that it is one page without scripts or external files."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.report import main, write
from tests.unit.chaos import runs

EMPTY_ELEMENTS = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """The texts, elements and attributes of a page; fails if elements are not closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], " ".join(data.split())))

    def said(self, element: str = "") -> str:
        return " | ".join(text for inside, text in self.texts if element in ("", inside))

    def looks(self, tag: str, drawing: str = "") -> list[str]:
        return [str(attributes.get("class")) for name, attributes in self.elements if name == tag]


def page(folder: Path, document: Any, lines: list[dict[str, Any]] | None) -> Page:
    return Page(write(runs.write(folder, document, lines)).read_text())


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page(tmp_path_factory.mktemp("run"), runs.journal(), runs.history())


@pytest.mark.parametrize(
    "said",
    [
        "kill under load",
        "One service dies.",
        "kafka-choreography · 2023-11-14 22:15:00 UTC · seed 7",
        "? unknown | nothing is proved",
        "? unknown | felt | not run: disk-full | ✓ true | audit | ten invariants hold",
        "5.0 s | kill | order | 2.0 s | yes | pid 1 -> 2",
        "kill: fired 1, felt 1",
        "not run | disk-full: no tmpfs here",
        "12 | orders placed | 10 completed, 0 cancelled",
        "1 of 1 | faults felt",
        "good | 12 | 10 | 0 | 2 | 500 ms | 500 ms",
        "In the databases: 10 COMPLETED, 1 CANCELLED TIMED_OUT.",
        "before the faults | 5 | 0 | 500 | 1,500 | –",
        "at 1 s · client waited 500 ms and was told COMPLETED · in the databases COMPLETED · settled after 400 ms",
        "+0.000 s | client | asks: order | +0.100 s | order | → PlaceOrder",
        "+0.200 s | order | OrderPlaced | caused by PlaceOrder | +0.500 s | client | order: ok | COMPLETED",
        "make chaos FAULTS=kill SEED=7",
        "stack.OUTBOX_LEASE | 5",
    ],
)
def test_everything_about_a_run_is_told(said: str, usual: Page) -> None:
    assert said in usual.said()


def test_the_page_is_one_file_that_loads_and_runs_nothing(usual: Page) -> None:
    names = {name for name, _ in usual.elements}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base"}
    attributes = {name for _, found in usual.elements for name in found}
    assert not attributes & {"src", "href", "xlink:href", "srcset", "action"}
    assert not [name for name in attributes if name.startswith("on")]
    (style,) = [text for inside, text in usual.texts if inside == "style"]
    assert not re.search(r"url\(|@import|@font-face|https?:", style)
    policy = [found["content"] for name, found in usual.elements if name == "meta" and "http-equiv" in found]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_it_has_colours_for_light_and_dark_and_a_drawing_for_wide_and_narrow(usual: Page) -> None:
    assert "prefers-color-scheme: dark" in usual.said("style")
    drawings = usual.looks("svg")
    assert drawings[:2] == ["wide", "narrow"]
    assert drawings.count("wide") == drawings.count("narrow") == 1 + 6  # the run, and the orders that suffered most


def test_what_the_pointer_is_on_is_told_without_a_script(usual: Page) -> None:
    titles = usual.said("title")
    assert "kill order at 5 s for 2.0 s: felt; pid 1 -> 2" in titles
    assert "5 s to 6 s: 1 came, 1 completed, 0 cancelled, 2 in flight; p50 500 ms, p95 500 ms" in titles
    assert "good at 1 s: COMPLETED, 500 ms (key-0001)" in titles
    assert "order: unreachable from 5.2 s for 1.8 s; ConnectError" in titles
    assert "order: OrderPlaced (event) after 200 ms" in titles


def test_every_fault_is_a_bar_in_each_drawing_of_the_run(tmp_path: Path) -> None:
    one = runs.journal()["quartet"]["injections"][0]
    others = [
        one | {"target": "payment", "began": one["began"] + 1, "felt": False},
        one | {"target": "shipping", "began": one["began"] + 3, "felt": None, "ended": None},
    ]
    looks = page(tmp_path, runs.journal(injections=[one, *others], worst=[]), runs.history()).looks("rect")
    at_least = 2  # wide and narrow; orders that were under way have them too
    for look in ("bar felt", "bar unfelt", "bar unknown"):
        assert looks.count(look) >= at_least


def test_nothing_is_drawn_beyond_the_end_where_a_fault_is_the_last_to_end(tmp_path: Path) -> None:
    one = runs.journal()["quartet"]["injections"][0] | {"ended": runs.WALL + 140}
    report = page(tmp_path, runs.journal(injections=[one], worst=[]), runs.history())
    wide = [attributes for name, attributes in report.elements if name == "rect"]
    assert max(float(str(one["x"])) + float(str(one["width"])) for one in wide) <= 1080


@pytest.mark.parametrize("verdict", ["true", "false", "unknown"])
def test_the_verdict_is_told_and_failures_come_first(verdict: str, tmp_path: Path) -> None:
    checks = [{"name": one, "verdict": one, "detail": f"detail of {one}"} for one in ("true", "unknown", "false")]
    report = page(tmp_path, runs.journal(verdict=verdict, checks=checks), runs.history())
    assert f"verdict v-{verdict}" in report.looks("span")
    said = report.said()
    assert said.index("detail of false") < said.index("detail of unknown") < said.index("detail of true")


def test_every_text_is_escaped(tmp_path: Path) -> None:
    evil = runs.HOSTILE
    lines = [
        {**one, **{name: evil for name in ("kind", "customer", "service") if name in one}} for one in runs.history()
    ]
    for one in lines:
        one |= {"reasons": [evil]} if "reasons" in one else {}
        one |= {"key": f"{one['key']}{evil}", "value": {"code": evil}} if "key" in one else {}
    document = runs.journal(
        mode=evil,
        seed=evil,
        command=evil,
        problem=evil,
        settings={evil: evil},
        checks=[{"name": evil, "verdict": "false", "detail": evil}],
        injections=[
            {"fault": evil, "target": evil, "began": runs.WALL + 101, "ended": None, "felt": None, "detail": evil}
        ],
        counts={evil: {"fired": 1, "felt": 0}},
        missing={evil: evil},
        orders={"by_status": {evil: 1}},
    )
    document |= {"experiment": {"title": evil, "description": evil}, "platform": evil}
    document["quartet"]["worst"][0] |= {"customer": evil, "key": f"key-0001{evil}", "status": evil, "reason": evil}
    for step in document["quartet"]["worst"][0]["timeline"]:
        step |= {"message": evil, "cause": f"x/{evil}"}
    report = page(tmp_path, document, lines)
    assert "script" not in {name for name, _ in report.elements}
    assert report.said().count("<script>") > 30


def test_a_run_that_ended_before_anything_happened_has_a_report(tmp_path: Path) -> None:
    empty: dict[str, Any] = {
        "checks": [],
        "injections": [],
        "counts": {},
        "missing": {},
        "orders": {},
        "latency": {},
        "worst": [],
    }
    report = page(tmp_path, runs.journal(**empty, problem="Kafka did not start"), None)
    assert "The run ended early. | Kafka did not start" in report.said()
    assert "There is no history" in report.said()
    assert report.looks("svg") == []


def test_a_history_of_faults_alone_is_shown(tmp_path: Path) -> None:
    lines = [one for one in runs.history() if one["type"] in ("fault", "ready")]
    assert page(tmp_path, runs.journal(worst=[]), lines).looks("svg") == ["wide", "narrow"]


def test_a_long_run_has_a_page_of_bearable_size(tmp_path: Path) -> None:
    lines = []
    for number in range(6000):
        lines += [runs.invoke(100 + number / 20, f"{number}"), runs.ended(100.3 + number / 20, f"{number}")]
    assert len(write(runs.write(tmp_path, runs.journal(worst=[]), lines)).read_bytes()) < 2_500_000


def test_the_command_writes_the_report_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.write(tmp_path, runs.journal(), runs.history())
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("journal", "lines", "said"),
    [
        (None, [], "journal.json"),
        ({"experiment": {}}, [], "quartet"),
        (runs.journal(), [{"type": "ok"}], "line 1"),
    ],
)
def test_a_folder_that_holds_no_run_is_told_in_one_line(
    journal: Any, lines: list[dict[str, Any]], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if journal:
        runs.write(tmp_path, journal, lines)
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert main([]) == 2

"""The waterfall of an order's spans: those of its traces alone, each under the span that it is part of."""

import json
from pathlib import Path
from typing import Any

from console_service.waterfall import bars, draw_waterfall, read
from tests.unit.console.site import Played, browser, sign_in

TRACE = "0af7651916cd43dd8448eb211c80319c"


def span(identity: str, parent: str | None, start: int, end: int, **more: Any) -> dict[str, Any]:
    given = {"trace_id": TRACE, "name": identity, "service": "order", "status": "unset"}
    return {**given, "span_id": identity, "parent_id": parent, "start": start, "end": end, **more}


def test_a_span_stands_below_its_parent_and_later_ones_after_it() -> None:
    spans = [
        span("later", None, 50, 60),
        span("child", "root", 20, 30, status="error"),
        span("root", "of another process", 10, 40),
        span("grandchild", "child", 21, 22),
    ]
    found = bars(spans)
    assert [(bar.name, bar.depth, bar.failed) for bar in found] == [
        ("root", 0, False),
        ("child", 1, True),
        ("grandchild", 2, False),
        ("later", 0, False),
    ]
    assert found[1].start == 10e-9
    picture = draw_waterfall(found)
    assert picture.count("<rect") == 4
    assert 'class="span failed"' in picture
    assert draw_waterfall([]) == ""


def test_spans_that_are_parts_of_each_other_do_not_hang_it() -> None:
    assert bars([span("a", "b", 1, 2), span("b", "a", 1, 2)]) == []


def test_only_the_spans_of_the_traces_are_read_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    other = {**span("other", None, 1, 2), "trace_id": "f" * 32}
    lines = [json.dumps(one, separators=(",", ":")) for one in (span("mine", None, 1, 2), other)]
    (tmp_path / "order.jsonl").write_text(f'{lines[0][9:]}\n{lines[0]}\n{lines[1]}\n{{"trace_id":"{TRACE}"\n')
    assert [one["span_id"] for one in read(str(tmp_path), [TRACE])] == ["mine"]
    assert read(str(tmp_path / "nowhere"), [TRACE]) == []


async def test_the_page_shows_them_or_says_how_to_get_them(tmp_path: Path) -> None:
    services = Played()
    (trace,) = services.example["timelines"]["order"]["trace_ids"]
    path = f"/orders/{services.order['order_id']}"
    mine = {**span("<b>POST</b>", None, 1, 2), "trace_id": trace}
    (tmp_path / "order.jsonl").write_text(json.dumps(mine, separators=(",", ":")) + "\n")
    async with browser(services, trace_folder=str(tmp_path)) as client:
        await sign_in(client)
        assert f'href="{path}/trace"' in (await client.get(path)).text
        assert "&lt;b&gt;POST&lt;/b&gt;" in (await client.get(f"{path}/trace")).text
    async with browser(services) as client:
        await sign_in(client)
        assert "/trace" not in (await client.get(path)).text
        assert "make up OBSERVABILITY=1" in (await client.get(f"{path}/trace")).text

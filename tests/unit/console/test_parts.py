"""The small pure parts of the console: words, numbers, the map, the tour, exports, the basket."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from console_service import words
from console_service.acts import HEAL, Act, Acts
from console_service.diagram import build
from console_service.drawing import Options, draw
from console_service.examples import EXAMPLES, example
from console_service.exports import as_json, as_mermaid
from console_service.map import draw_map, flows
from console_service.metrics import totals
from console_service.protocol import mode_view
from console_service.sagas import of_example
from console_service.session import BASKET_MAX, Sessions
from console_service.tour import STEPS, done
from sagakit.modes import MODES

START = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
METRICS = """# HELP saga_commands_total Commands handled
saga_commands_total{name="PlaceOrder",outcome="OrderPlaced"} 3.0
saga_commands_total{name="RecordStockSettled",outcome="OrderCompleted"} 2.0
saga_commands_created{name="PlaceOrder",outcome="OrderPlaced"} 1.7e+09
saga_transaction_seconds_count 4.0
saga_transaction_seconds_sum 0.5
saga_outbox_rows{kind="message"} 3.0
saga_outbox_rows{kind="call"} 1.0
saga_delivery_lag_seconds 0.25
"""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0031, "3 ms"),
        (0.9999, "1.00 s"),
        (1.254, "1.25 s"),
        (42.06, "42.1 s"),
        (125, "2 min 5 s"),
        (7260, "2 h 1 min"),
    ],
)
def test_a_duration_has_the_unit_that_fits(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_money_is_shown_with_its_currency() -> None:
    assert words.money({"amount": 123456, "currency": "EUR"}) == "€ 1,234.56"
    assert words.money(None) == ""


def test_the_numbers_of_a_service_are_sums_over_its_metrics() -> None:
    found = totals(METRICS)
    assert (found["commands"], found["placed"], found["completed"], found["cancelled"]) == (5, 3, 2, 0)
    assert (found["transactions"], found["seconds"]) == (4, 0.5)
    assert (found["waiting"], found["lag"]) == (4, 0.25)
    assert set(totals("").values()) == {0.0}


@pytest.mark.parametrize("name", MODES)
def test_the_map_shows_who_hears_whom_in_the_mode(name: str) -> None:
    mode = mode_view(name)
    pairs = {(sender, consumer) for sender, consumer, _ in flows(mode)}
    participants = {("inventory", "payment"), ("payment", "shipping")}
    assert participants <= pairs if mode.choreography else not participants & pairs
    assert {("order", "inventory"), ("inventory", "order")} <= pairs
    picture = draw_map(mode)
    assert mode.transport in picture
    assert picture.count("data-waiting") == 4
    assert picture.count("data-lag") == (0 if mode.transport == "Temporal" else 4)


def test_the_tour_has_seven_steps_and_notices_what_orders_show() -> None:
    at = START.isoformat()
    completed = {"status": "COMPLETED", "cancellation_reason": None, "created_at": at}
    late = {"status": "CANCELLED", "cancellation_reason": "TIMED_OUT", "created_at": at}
    killed, copied = (Act(START - SECOND, kind, "payment", "") for kind in ("kill", "duplicated"))
    assert len(STEPS) == 7
    assert done([completed, late]) == {"place", "deadline"}
    assert done([completed], [killed, copied]) == {"place", "kill", "duplicate"}
    assert done([completed], [Act(START + SECOND, "kill", "payment", "")]) == {"place"}, "it was killed afterwards"
    assert done([late], [killed]) == {"deadline"}, "the order did not complete"
    assert done([]) == frozenset()


def test_a_saga_shows_what_was_broken_when_it_began_and_what_happened_until_its_end() -> None:
    told = {-700: "long ago", -60: "healed since", -50: HEAL, -9: "in force", 3: "meanwhile", 12: "afterwards"}
    acts = Acts(iter(START + second * SECOND for second in told).__next__)
    for kind in told.values():
        acts.add(kind, "payment", kind)
    assert [act.kind for act in acts.concerning(START, START + 10 * SECOND)] == ["in force", "meanwhile"]
    assert [act.kind for act in acts.concerning(START, None)] == ["in force", "meanwhile", "afterwards"]
    assert [act.kind for act in acts.latest(2)] == ["afterwards", "meanwhile"]


def test_what_was_broken_is_drawn_at_its_time_and_exported() -> None:
    diagram = of_example(example("kafka-choreography.completed")).diagram
    assert diagram.started_at is not None
    steps = list(diagram.steps)
    acts = (
        Act(diagram.started_at - SECOND, "kill", "payment", "kill at <after-commit>"),
        Act(steps[3].at, HEAL, "everything", "healed"),
        Act(steps[-1].at + SECOND, "down", "the providers", "each fails"),
    )
    broken = replace(diagram, acts=acts)
    picture = draw(broken)
    assert picture.count('<g class="act"') == 3
    assert "payment: kill at &lt;after-commit&gt;, before the order" in picture
    assert [f'data-row="{row}"' in picture for row in (0, 3, len(steps) - 1)] == [True] * 3
    assert [act["what"] for act in json.loads(as_json(broken))["acts"]] == [act.what for act in acts]
    assert "Note over order,shipping: everything: healed" in as_mermaid(broken)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_drawing_has_a_row_for_each_step_that_it_shows(name: str) -> None:
    diagram = of_example(example(name)).diagram
    for options in (Options(), Options(quiet=True), Options(plain=True)):
        picture = draw(diagram, options)
        assert picture.count('<g class="row ') == picture.count('class="time rel"')
        assert ("<a href" in picture) is not options.plain
    assert draw(diagram).count('<g class="row ') == len(diagram.steps)


def test_what_is_owed_is_drawn_and_exported() -> None:
    at = "2026-11-26T09:00:00Z"
    placed = [
        {"message": "PlaceOrder", "kind": "command", "cause": None, "at": at},
        {"message": "OrderPlaced", "kind": "event", "cause": "o1/PlaceOrder", "at": at},
    ]
    diagram = build("o1", mode_view("kafka"), {"order": {"items": placed}})
    assert [one.message for one in diagram.owed][:2] == ["ReserveStock", "AuthorizePayment"]
    assert draw(diagram).count('<g class="owed ') == len(diagram.owed)
    assert "Note over inventory: still owed: ReserveStock" in as_mermaid(diagram)


@pytest.mark.parametrize(
    "value", ["", "zz", "7b", b"[1]".hex(), b'{"a": "b"}'.hex(), b'{"a": -1}'.hex(), b"[" * 5000 + b"]"]
)
def test_a_basket_that_is_none_is_empty(value: Any) -> None:
    text = value if isinstance(value, str) else value.hex()
    assert dict(_session(text).basket) == {}


def test_a_basket_is_bounded() -> None:
    lines = ", ".join(f'"sku-{number}": 1' for number in range(50))
    assert len(_session(f"{{{lines}}}".encode().hex()).basket) == BASKET_MAX


def _session(basket: str) -> Any:
    request = Request({"type": "http", "headers": [(b"cookie", f"quartet-8000-basket={basket}".encode())]})
    verifier: Any = SimpleNamespace(verify=None)
    return Sessions(verifier, 8000).of(request)

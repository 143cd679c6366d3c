"""The diagram against the journals: nothing is missing, nothing is invented, and each arrow has its cause."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from checkout.saga import CHECKOUT
from console_service.diagram import SERVICES, Diagram, build
from console_service.examples import EXAMPLES, example
from console_service.protocol import CALLS, OPERATIONS, PUBLIC_OWNER, mode_view, name_of, role_of
from console_service.sagas import as_told
from payment_service import service as payment
from sagakit.modes import MODES
from shipping_service import service as shipping

KAFKA = mode_view("kafka-choreography")
ORCHESTRATED = mode_view("kafka-orchestration")
START = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)


def diagram_of(name: str) -> Diagram:
    shown = example(name)
    return build(shown["order"]["order_id"], mode_view(shown["order"]["mode"]), shown["timelines"])


def journal(*entries: str, step: float = 0.01) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Timelines from lines such as `order command PlaceOrder`, with `<- Cause` where there is one; 10 ms apart."""
    timelines: dict[str, dict[str, list[dict[str, Any]]]] = {service: {"items": []} for service in SERVICES}
    for number, entry in enumerate(entries):
        what, _, cause = entry.partition(" <- ")
        service, kind, message = what.split()
        at = (START + timedelta(seconds=step * number)).isoformat()
        timelines[service]["items"].append(
            {"message": message, "kind": kind, "cause": f"o1/{cause}" if cause else None, "at": at}
        )
    return timelines


PLACED = ("order command PlaceOrder", "order event OrderPlaced <- PlaceOrder")
RESERVED = (
    *PLACED,
    "inventory command ReserveStock <- OrderPlaced",
    "inventory event StockReserved <- ReserveStock",
)


def test_there_is_an_example_of_every_mode() -> None:
    assert {name.partition(".")[0] for name in EXAMPLES} == set(MODES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_journal_entry_is_one_step_and_nothing_else_is(name: str) -> None:
    written = [
        (service, item["kind"], item["message"])
        for service, body in example(name)["timelines"].items()
        for item in body["items"]
    ]
    shown = [(step.lane, step.kind, step.message) for step in diagram_of(name).steps]
    assert sorted(shown) == sorted(written)


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_step_comes_before_its_cause(name: str) -> None:
    diagram = diagram_of(name)
    positions = {step.message: step.position for step in diagram.steps}
    requests = {CALLS[message]: message for message in positions if message in CALLS}
    assert list(positions.values()) == list(range(len(positions)))
    for step in diagram.steps:
        before = requests.get(step.cause or "", step.cause)
        if before is not None:
            assert positions[before] < step.position, step


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_command_that_came_from_elsewhere_has_the_arrow_that_brought_it(name: str) -> None:
    diagram = diagram_of(name)
    owners = {step.message: step.lane for step in diagram.steps}
    for step in diagram.steps:
        brought = [arrow for arrow in diagram.arrows if arrow.received is step]
        comes_from_elsewhere = step.kind == "command" and owners.get(step.cause or "") != step.lane
        assert len(brought) == (1 if comes_from_elsewhere else 0), step


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_arrow_has_its_cause_in_the_journals(name: str) -> None:
    diagram = diagram_of(name)
    written = {step.message for step in diagram.steps}
    for arrow in diagram.arrows:
        end = arrow.received or arrow.sent
        assert end is not None
        assert end.message in written
        if arrow.kind == "request":
            assert end.cause is None
        elif arrow.kind in ("call", "answer"):
            assert arrow.message in OPERATIONS
        else:
            assert arrow.cause in written
            assert arrow.source == (owner_of(arrow.message, arrow.kind, diagram))


def owner_of(message: str, kind: str, diagram: Diagram) -> str:
    """Who sends that message: who recorded the event, and the orchestrator for a command."""
    if kind == "command":
        assert not diagram.mode.choreography
        return "order"
    return PUBLIC_OWNER[message]


@pytest.mark.parametrize("name", EXAMPLES)
def test_in_choreography_no_service_is_sent_another_ones_command(name: str) -> None:
    diagram = diagram_of(name)
    carried = {arrow.kind for arrow in diagram.arrows if arrow.carried}
    assert carried == ({"event"} if diagram.mode.choreography else {"event", "command"})


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_call_to_a_provider_in_its_ledger_is_an_arrow_and_has_its_answer(name: str) -> None:
    diagram = diagram_of(name)
    ledger = {entry["operation"] for entry in example(name)["ledger"]}
    calls = {arrow.message for arrow in diagram.arrows if arrow.kind == "call"}
    answers = {arrow.message for arrow in diagram.arrows if arrow.kind == "answer"}
    assert ledger <= calls
    assert calls == answers


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_finished_saga_owes_nothing_and_waits_for_nobody(name: str) -> None:
    diagram = diagram_of(name)
    assert diagram.ended
    assert diagram.owed == ()
    assert diagram.waiting is None


@pytest.mark.parametrize("service", ["inventory", "payment", "shipping"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_saga_has_not_ended_before_the_answer_of_each_participant_is_there(name: str, service: str) -> None:
    """The order's timeline tells of the end; the participant's, asked a moment earlier, lacks its last part."""
    shown = example(name)
    answers = {event.__name__ for step in CHECKOUT.steps for event in (step.settled, step.undone)}
    early = [item for item in shown["timelines"][service]["items"] if item["message"] not in answers]
    timelines = shown["timelines"] | {service: {"items": early}}
    diagram = build(shown["order"]["order_id"], mode_view(shown["order"]["mode"]), timelines)
    assert not diagram.ended
    assert {one.lane for one in diagram.owed} == {service}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_timeline_of_an_order_tells_what_became_of_it(name: str) -> None:
    order, timeline = example(name)["order"], example(name)["timelines"]["order"]
    placed = order | {"status": "PENDING", "settled": False, "cancellation_reason": None}
    assert as_told(placed, timeline) == order
    assert as_told(placed, None) == placed


@pytest.mark.parametrize("service", ["inventory", "payment", "shipping"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_only_a_customer_s_saga_ends_without_a_participant_that_is_not_to_be_seen(name: str, service: str) -> None:
    shown = example(name)
    hidden = shown["timelines"] | {service: {"items": []}}
    mode = mode_view(shown["order"]["mode"])
    assert build(shown["order"]["order_id"], mode, hidden, whole=False).ended
    assert not build(shown["order"]["order_id"], mode, hidden).ended


@pytest.mark.parametrize("name", EXAMPLES)
def test_at_every_moment_of_a_saga_what_is_owed_is_what_follows(name: str) -> None:
    """Cut the journals after each step: until the end something is owed, and what happens next was foreseen."""
    shown = example(name)
    steps = diagram_of(name).steps
    for before, following in pairwise(steps):
        kept = {step.message for step in steps[: before.position + 1]}
        cut = {
            service: {"items": [item for item in body["items"] if item["message"] in kept]}
            for service, body in shown["timelines"].items()
        }
        diagram = build(shown["order"]["order_id"], mode_view(shown["order"]["mode"]), cut)
        if "OrderPlaced" not in kept:
            continue
        assert diagram.owed, f"after {before.message}"
        if foreseeable(following.message, kept):
            assert following.message in {one.message for one in diagram.owed}, f"after {before.message}"


def foreseeable(message: str, kept: set[str]) -> bool:
    """Whether a step is on the way that the saga takes: neither private nor a refusal, nor what a refusal leads to."""
    surprises = {step.refused.__name__ for step in CHECKOUT.steps} | {"CancelOrder", "OrderCancelled"}
    private = message not in PUBLIC_OWNER
    late_hold = "OrderCancelled" in kept and role_of(message) == "hold"
    refused = any(step.refused.__name__ in kept for step in CHECKOUT.steps)
    return not private and not late_hold and (message not in surprises or (refused and message == "CancelOrder"))


def test_who_decides_next_depends_on_the_style() -> None:
    chosen, ordered = (build("o1", mode, journal(*RESERVED)) for mode in (KAFKA, ORCHESTRATED))
    assert [one.message for one in chosen.owed] == [one.message for one in ordered.owed]
    assert chosen.owed[0].message == ordered.owed[0].message == "AuthorizePayment"
    assert chosen.owed[0].decided_by == "payment, which reacts to StockReserved"
    assert ordered.owed[0].decided_by == "the orchestrator in order, which sends AuthorizePayment"
    assert (chosen.owed[0].sender, ordered.owed[0].sender) == ("inventory", "order")


def test_what_is_owed_after_the_holds_is_the_decision_and_then_all_three_settlements() -> None:
    owed = [one.message for one in build("o1", KAFKA, journal(*PLACED)).owed]
    assert owed == [
        "ReserveStock",
        "AuthorizePayment",
        "BookShipment",
        "ConfirmOrder",
        *(name_of(step.settle) for step in CHECKOUT.steps),
        *(name_of(step.record) for step in CHECKOUT.steps),
        "OrderCompleted",
    ]


def test_a_refusal_owes_the_cancellation_and_the_undoing_of_all_three() -> None:
    diagram = build(
        "o1",
        KAFKA,
        journal(
            *PLACED,
            "inventory command ReserveStock <- OrderPlaced",
            "inventory event StockRejected <- ReserveStock",
        ),
    )
    assert [one.message for one in diagram.owed][:4] == [
        "CancelOrder",
        *(name_of(step.undo) for step in CHECKOUT.steps),
    ]
    assert diagram.owed[-1].message == "CancellationSettled"


def test_a_call_without_an_answer_waits_for_the_provider_since_the_command() -> None:
    diagram = build(
        "o1",
        KAFKA,
        journal(
            *RESERVED,
            "payment command AuthorizePayment <- StockReserved",
            "payment event PaymentAuthorizationRequested <- AuthorizePayment",
        ),
    )
    assert diagram.waiting is not None
    assert diagram.waiting.whom == "the provider of payment"
    assert diagram.waiting.since == START + timedelta(seconds=0.04)


def test_an_answer_passed_on_by_an_orchestrator_is_two_arrows() -> None:
    entries = (*RESERVED, "payment command AuthorizePayment <- StockReserved")
    arrows = build("o1", ORCHESTRATED, journal(*entries)).arrows
    last = [(arrow.message, arrow.source, arrow.target) for arrow in arrows[-2:]]
    assert last == [("StockReserved", "inventory", "order"), ("AuthorizePayment", "order", "payment")]
    (only,) = [arrow for arrow in build("o1", KAFKA, journal(*entries)).arrows if arrow.target == "payment"]
    assert (only.message, only.source) == ("StockReserved", "inventory")


def test_clocks_that_differ_do_not_put_an_effect_before_its_cause() -> None:
    timelines = journal(*RESERVED)
    for item in timelines["inventory"]["items"]:
        item["at"] = (datetime.fromisoformat(item["at"]) - timedelta(seconds=5)).isoformat()
    assert [step.message for step in build("o1", KAFKA, timelines).steps] == [
        "PlaceOrder",
        "OrderPlaced",
        "ReserveStock",
        "StockReserved",
    ]


def test_a_service_that_could_not_be_asked_is_named_and_its_causes_are_still_drawn() -> None:
    timelines: Mapping[str, Any] = {**journal(*RESERVED, "payment command AuthorizePayment <- StockReserved")}
    diagram = build("o1", KAFKA, {**timelines, "inventory": None})
    assert diagram.unknown == ("inventory",)
    (arrow,) = [arrow for arrow in diagram.arrows if arrow.target == "payment"]
    assert (arrow.source, arrow.sent) == ("inventory", None)


def test_the_private_events_that_ask_a_provider_are_those_of_the_services() -> None:
    asked = {}
    for service in (payment, shipping):
        port = service.SERVICE.provider
        assert port is not None
        for kind in service.SERVICE.private:
            named = kind.__name__
            if named.endswith("Requested"):
                asked[named] = CALLS.get(named)
    assert asked.keys() == CALLS.keys()
    assert {role_of(name) for name in PUBLIC_OWNER} <= {
        "start", "hold", "refusal", "pivot", "settle", "undo", "record", "end",
    }  # fmt: skip


def test_what_a_service_observed_is_marked_at_the_step_that_it_is_about() -> None:
    timelines: dict[str, Any] = journal(*RESERVED, "payment command AuthorizePayment <- StockReserved")
    timelines["payment"]["items"].append(
        {
            "message": "PaymentAuthorizationRequested",
            "kind": "event",
            "cause": "o1/AuthorizePayment",
            "at": START.isoformat(),
        }
    )
    seen = {"kind": "duplicate", "message": "AuthorizePayment", "outcome": "PaymentAuthorized"}
    timelines["payment"] |= {
        "observed": [seen, seen],
        "calls": [{"asked_by": "o1/PaymentAuthorizationRequested", "operation": "authorize", "attempts": 3}],
    }
    timelines["order"]["observed"] = [{"kind": "nudge", "message": "", "outcome": "OrderPlaced"}]
    marks = {step.message: step.marks for step in build("o1", KAFKA, timelines).steps if step.marks}
    assert marks == {
        "AuthorizePayment": ("2 duplicates",),
        "PaymentAuthorizationRequested": ("3 attempts",),
        "OrderPlaced": ("1 nudge",),
    }


def test_a_saga_whose_records_are_deleted_has_ended_and_says_so() -> None:
    shown = build("o1", KAFKA, {service: {"items": [], "pruned": True} for service in SERVICES})
    assert (shown.steps, shown.owed, shown.waiting, shown.unknown) == ((), (), None, ())
    assert shown.pruned == SERVICES
    assert shown.ended
    some = journal(*RESERVED)
    some["payment"]["pruned"] = True  # type: ignore[assignment]
    assert build("o1", KAFKA, some).owed == ()

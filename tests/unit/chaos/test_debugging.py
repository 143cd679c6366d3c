"""The debugging study: symptoms without what is usual, the procedure over what was seen, tables, and the page."""

import json
from math import inf
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from loadtests.bench.publish import rewritten
from tests.chaos.debugging.__main__ import CONTROLS, faults_of, planned
from tests.chaos.debugging.alerts import RULES, samples, sights
from tests.chaos.debugging.diagnosis import SHARED, diagnose, home, lacking, symptoms
from tests.chaos.debugging.model import NONE, Seen, Sight, Source, read, write
from tests.chaos.debugging.orders import history, order_in, plain, timeline, total_of
from tests.chaos.debugging.publish import DATA, MARK, PAGE, diagnoses, sections
from tests.chaos.debugging.publish import main as publish
from tests.chaos.debugging.sources import owner
from tests.chaos.debugging.tables import by_plant, by_source, by_style
from tests.chaos.plants import plant_of, plants
from tests.unit.infra.test_rules import alerts

ORDER, OTHER = "4ce07391-6025-542e-a048-42d664aa5fee", "5a3b61d3-c258-52ae-b631-1ec5f9ccc14b"
KAFKA, TEMPORAL = "kafka-choreography", "temporal-orchestration"


def seen(*sights: Sight, plant: str = "wrong-amount", mode: str = KAFKA) -> Seen:
    return Seen(plant, mode, (), 80, sights)


def sight(at: float, source: Source, what: str = "it", service: str = "", step: str = "", order: str = "") -> Sight:
    return Sight(at, source, what, service, step, order)


USUAL = sight(1, Source.LOG, "WARNING: usual", "payment")
AUDIT = sight(32, Source.AUDIT, "invariant 6: another amount", "payment", order=ORDER)
CAPTURE = sight(2, Source.TIMELINE, "good: another amount", "payment", "PaymentCaptureRequested", ORDER)


def test_what_a_control_shows_too_is_no_symptom_and_the_earliest_comes_first() -> None:
    later = sight(9, Source.LOG, USUAL.what, "payment", order=ORDER)
    elsewhere = sight(5, Source.LOG, USUAL.what, "order")
    before = sight(-0.5, Source.LOG, "WARNING: the stack starts", "order")
    assert symptoms(seen(AUDIT, later, elsewhere, before), [seen(), seen(USUAL)]) == [elsewhere, AUDIT]


def test_at_one_time_the_source_that_is_looked_at_first_counts() -> None:
    alert, log = sight(3, Source.ALERT), sight(3, Source.LOG)
    assert symptoms(seen(log, alert), [seen()]) == [alert, log]


def test_the_audit_names_an_order_and_its_timelines_the_step() -> None:
    found = diagnose(seen(AUDIT, CAPTURE, USUAL), [seen(USUAL)])
    assert (found.noticed, found.after, found.symptom) == ("audit", 32, AUDIT.what)
    assert found.lookups == ("audit", "log", *["timeline"] * 4)
    assert (found.service, found.step, found.correct) == ("payment", "PaymentCaptureRequested", True)
    assert found.shown == {"audit": 32, "timeline": 2}


def test_without_an_order_the_log_and_what_needs_attention_are_asked_for_one() -> None:
    metric = sight(2, Source.METRIC, "saga_commands_total", "payment", "CapturePayment")
    letter = sight(4, Source.ATTENTION, "dead-letter: it", "payment", order=ORDER)
    found = diagnose(seen(metric, letter, CAPTURE), [seen()])
    assert found.lookups == ("metric", "log", "dead letter", *["timeline"] * 4)
    assert (found.noticed, found.service) == ("metric", "payment")


def test_what_differs_in_three_services_is_in_what_they_share() -> None:
    differing = [sight(at, Source.TIMELINE, "it", name, "It", ORDER) for at, name in enumerate(("order", "payment"))]
    third = sight(3, Source.TIMELINE, "it", "shipping", "It", ORDER)
    assert diagnose(seen(AUDIT, *differing), [seen()]).service == "order"
    assert diagnose(seen(AUDIT, *differing, third, plant="no-inbox"), [seen()]).service == SHARED


def test_a_step_that_all_alike_orders_have_is_missed() -> None:
    def steps(order: str, *names: str) -> list[Sight]:
        return [sight(1, Source.TIMELINE, f"good: it led to {name}", "order", name, order) for name in names]

    control = seen(*steps(ORDER, "OrderPlaced", "OrderCompleted", "OrderConfirmed"), *steps(OTHER, "OrderConfirmed"))
    assert lacking(seen(*steps(ORDER, "OrderPlaced")), [control]) == [
        sight(inf, Source.TIMELINE, "good: there is no OrderConfirmed", "order", "OrderConfirmed", ORDER)
    ]
    found = diagnose(seen(sight(2, Source.CLIENT, order=ORDER), *steps(ORDER, "OrderPlaced")), [control])
    assert (found.service, found.step) == ("order", "OrderConfirmed")


def test_a_step_that_never_came_does_not_make_its_service_differ() -> None:
    services = ("order", "payment", "shipping")
    control = seen(*(sight(at, Source.TIMELINE, "good: it", name, "It", OTHER) for at, name in enumerate(services, 1)))
    stopped = sight(1, Source.TIMELINE, "good: another amount", "inventory", "Other", ORDER)
    assert diagnose(seen(AUDIT, stopped), [control]).service == "inventory"
    usual = sight(1, Source.TIMELINE, "good: it", "order", "It", ORDER)
    assert diagnose(seen(AUDIT, usual), [control]).service == "payment"


def test_a_dead_letter_names_its_step_in_its_text() -> None:
    letter = sight(4, Source.ATTENTION, "dead-letter: <id>/RecordCapture: ConfirmOrder failed", "order", order=ORDER)
    assert diagnose(seen(letter), [seen()]).step == "RecordCapture"


def test_log_lines_about_the_order_count_as_well_as_its_timelines() -> None:
    lines = [sight(1, Source.LOG, "ERROR: it failed", name, order=ORDER) for name in ("order", "payment", "shipping")]
    assert diagnose(seen(*lines, plant="no-inbox"), [seen()]).service == SHARED
    assert diagnose(seen(*lines[:2]), [seen()]).service == "order"


def test_another_order_proves_nothing() -> None:
    found = diagnose(seen(AUDIT, sight(1, Source.TIMELINE, "it", "shipping", "It", OTHER)), [seen()])
    assert (found.service, found.step) == ("payment", "")
    assert found.lookups == ("audit", "log", *["timeline"] * 4, "dead letter")


def test_over_temporal_the_history_of_the_order_is_asked_before_everything_else() -> None:
    retried = sight(4, Source.HISTORY, "good: CapturePayment was tried again", "payment", "CapturePayment", ORDER)
    found = diagnose(seen(AUDIT, retried, mode=TEMPORAL), [seen()])
    assert (found.lookups[-1], found.step) == ("history", "CapturePayment")


def test_a_finding_without_an_order_names_its_service_itself() -> None:
    stock = sight(30, Source.AUDIT, "invariant 5: says that # are reserved", "inventory")
    found = diagnose(seen(stock, plant="stock-not-put-back"), [seen()])
    assert (found.lookups, found.service, found.correct) == (("audit", "log", "dead letter"), "inventory", True)


def test_a_customer_who_names_no_service_may_lead_nowhere() -> None:
    found = diagnose(seen(sight(7, Source.CLIENT, "good: CANCELLED", order=ORDER)), [seen()])
    assert (found.service, found.correct) == ("", False)
    assert found.lookups[-2:] == ("dead letter", "audit")


def test_a_run_without_a_bug_is_right_if_nothing_was_noticed() -> None:
    assert diagnose(seen(USUAL, plant=NONE), [seen(USUAL)]).correct
    assert diagnose(seen(CAPTURE, plant=NONE), [seen()]).correct
    assert not diagnose(seen(USUAL, plant=NONE), [seen()]).correct


@pytest.mark.parametrize(
    ("plant", "service"),
    [
        ("wrong-amount", "payment"),
        ("hasty-completion", "order"),
        ("stock-not-put-back", "inventory"),
        ("no-inbox", SHARED),
    ],
)
def test_a_plant_is_at_home_where_its_patch_is(plant: str, service: str) -> None:
    assert home(plant) == {service}


@pytest.mark.parametrize("name", plants())
def test_every_plant_has_a_home_and_faults(name: str) -> None:
    assert home(name) <= {"order", "payment", "inventory", "shipping", SHARED}
    assert "kill" not in faults_of(plant_of(name)) or "kills" in plant_of(name).needs


def item(message: str, cause: str | None, second: int, payload: Any = None) -> dict[str, Any]:
    cause = f"{ORDER}/{cause}" if cause else None
    return {"message": message, "cause": cause, "at": f"2026-11-26T10:00:0{second}Z", "payload": payload}


def test_a_timeline_shows_causes_repeats_amounts_and_its_end_but_no_ids() -> None:
    amount = {"amount": 1199}
    items = [item("CapturePayment", None, 1), item("PaymentCaptureRequested", "CapturePayment", 2, amount)]
    shown = {"order_id": ORDER, "items": [*items, items[1]]}
    found = timeline("payment", "good", shown, 1795687200.0, 1200)
    assert [one.what for one in found] == [
        "good: a request led to CapturePayment",
        "good: CapturePayment led to PaymentCaptureRequested",
        "good: PaymentCaptureRequested is over another amount than the order",
        "good: CapturePayment led to PaymentCaptureRequested, time 2",
        "good: PaymentCaptureRequested is over another amount than the order",
        "good: PaymentCaptureRequested comes last",
    ]
    assert found[1] == Sight(2.0, Source.TIMELINE, found[1].what, "payment", "PaymentCaptureRequested", ORDER)
    assert {one.what for one in timeline("payment", "good", shown, 0, 1199)} == {
        one.what for one in found if "amount" not in one.what
    }


def test_the_total_of_an_order_is_what_its_customer_was_told() -> None:
    placed = item("OrderPlaced", "PlaceOrder", 1, {"checkout": {"total": {"amount": 1200, "currency": "EUR"}}})
    assert total_of({"items": [placed]}) == 1200
    assert total_of({"items": []}) is None


def test_a_history_shows_failures_attempts_and_answers() -> None:
    def event(number: int, kind: "EventType.ValueType") -> HistoryEvent:
        made = HistoryEvent(event_id=number, event_type=kind)
        made.event_time.FromSeconds(100 + number)
        return made

    asked = event(1, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    asked.activity_task_scheduled_event_attributes.task_queue.name = "quartet-payment"
    asked.activity_task_scheduled_event_attributes.activity_type.name = "VoidPayment"
    started = event(2, EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED)
    started.activity_task_started_event_attributes.scheduled_event_id = 1
    started.activity_task_started_event_attributes.attempt = 2
    done = event(3, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    done.activity_task_completed_event_attributes.scheduled_event_id = 1
    answer = Payload(data=json.dumps({"type": "PaymentVoided"}).encode())
    done.activity_task_completed_event_attributes.result.payloads.append(answer)
    failed = event(4, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    found = list(history("order", "good", ORDER, [asked, started, done, failed], 100.0))
    assert [(one.at, one.service, one.what) for one in found] == [
        (2, "payment", "good: VoidPayment was tried again"),
        (3, "payment", "good: VoidPayment was answered by PaymentVoided"),
        (4, "order", "good: a workflow task failed"),
    ]


def test_a_text_loses_its_ids_and_numbers_and_names_its_order() -> None:
    assert plain(f"call {ORDER}/void, attempt 3") == "call <id>/void, attempt #"
    assert order_in(f"call {ORDER}/void of {OTHER}") == ORDER
    assert order_in("no order") == ""


def test_the_alerts_are_those_of_the_rules_and_have_their_thresholds() -> None:
    for rule in RULES:
        expression = alerts()[rule.alert]["expr"]
        assert f"> {rule.threshold:g}" in expression or (rule.alert, rule.threshold) == ("TaskFails", 0)


METRICS = """
saga_attention{kind="dead-letter"} 1.0
saga_outbox_oldest_seconds{kind="call"} 30.0
saga_inbox_hits_total{name="VoidPayment"} 5.0
saga_commands_total{name="VoidPayment",outcome="PaymentVoided"} 20.0
saga_provider_calls_total{provider="payment",operation="void",outcome="ok"} 19.0
saga_provider_calls_total{provider="payment",operation="void",outcome="unknown"} 0.0
"""


def test_metrics_show_crossed_thresholds_and_counters_that_count() -> None:
    found = list(sights("payment", samples(METRICS), 3.0))
    assert [one.what for one in found if one.source == Source.ALERT] == ["NeedsAttention", "ManyDuplicates"]
    assert [(one.what, one.step) for one in found if one.source == Source.METRIC] == [
        ("saga_inbox_hits_total: name=VoidPayment", "VoidPayment"),
        ("saga_commands_total: name=VoidPayment, outcome=PaymentVoided", "VoidPayment"),
        ("saga_provider_calls_total: operation=void, outcome=ok, provider=payment", ""),
    ]


@pytest.mark.parametrize(
    ("number", "what", "service"),
    [
        (5, "says that it received 7", "inventory"),
        (9, "payment: PaymentVoided is recorded twice", "payment"),
        (9, "order: the reason is missing", "order"),
        (8, "a dead letter of order: <id>/RecordStockSettled: it failed", "order"),
        (3, "the carrier was asked to dispatch 2 times", "shipping"),
        (4, "is CANCELLED, but its shipment is BOOKED", "shipping"),
        (2, "is CONFIRMED", "order"),
    ],
)
def test_a_finding_is_about_the_service_that_owns_what_it_names(number: int, what: str, service: str) -> None:
    assert owner(number, what) == service


def test_what_was_seen_can_be_read_again(tmp_path: Path) -> None:
    write(tmp_path / "seen.json", seen(AUDIT, CAPTURE))
    assert read(tmp_path / "seen.json") == seen(AUDIT, CAPTURE)
    assert [path.name for path in tmp_path.iterdir()] == ["seen.json"]


def test_each_plant_is_compared_with_controls_under_its_own_faults_and_orders() -> None:
    chosen = [plant_of("no-inbox"), plant_of("untrue-cancel")]
    (bare, usual), (inbox, duplicated), (cancel, cancelled) = planned(chosen, [KAFKA])
    assert (bare.plant, len(usual)) == (NONE, CONTROLS)
    assert bare not in usual
    assert inbox.faults == ("duplicated",) == duplicated[0].faults
    assert duplicated[CONTROLS:] == [*usual, bare] == cancelled[CONTROLS:]
    assert {one.mix for one in (cancel, *cancelled[:CONTROLS])} == {"cancelled"}
    files = [one.file for one in (inbox, *duplicated, cancel, *cancelled[:CONTROLS])]
    assert len(set(files)) == len(files)


def test_tables_tell_by_plant_by_source_and_by_style() -> None:
    right = diagnose(seen(AUDIT, CAPTURE), [seen()])
    lost = diagnose(seen(plant="no-inbox"), [seen()])
    control = diagnose(seen(plant=NONE), [seen()])
    found = [control, right, lost]
    assert by_plant(found).rows == [
        ("`no-inbox`", f"`{KAFKA}`", "nothing", "–", "0", "nothing", "**no**"),
        ("`wrong-amount`", f"`{KAFKA}`", "audit", "32.0", "6", "payment: PaymentCaptureRequested", "yes"),
        ("no plant", f"`{KAFKA}`", "nothing", "–", "0", "nothing", "yes"),
    ]
    row = dict(zip(by_source(found).head, by_source(found).rows[1], strict=True))
    assert (row["audit"], row["timeline"], row["log"]) == ("32.0", "2.0", "–")
    assert by_style(found).rows == [("choreography", "2", "1", "1", "32.0", "6.0")]


def test_a_folder_without_a_study_is_not_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish([str(tmp_path)]) == 2
    assert publish([]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_page_is_what_the_command_makes_of_the_data() -> None:
    page, data = PAGE.read_text(), json.loads(DATA.read_text())
    found = diagnoses(data["diagnoses"])
    assert page == rewritten(page, sections(data["about"], found), MARK), "publish it again"

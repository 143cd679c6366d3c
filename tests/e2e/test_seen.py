"""What can be seen of one order of each kind, in every mode, compared with what the databases have and with the spans.

Every command of the inboxes, every event of the journals and every effect of the ledger is in `/timeline` once, with
its cause, and nothing else is. One checkout is one trace, whose steps are the same in every mode.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from sagakit.sealing import masked
from tests.e2e.kinds import Placed, about, placed, spans, written
from tests.e2e.stack import SERVICES, Stack
from tests.postgres import definition

REQUESTED: Final = frozenset({"PlaceOrder", "CancelOrder"})
"""The commands that no message leads to: a customer or the deadline does."""
_STOCK: Final = {"PlaceOrder", "ReserveStock"}
_HELD: Final = {*_STOCK, "AuthorizePayment", "RecordAuthorization"}
_BOOKED: Final = {*_HELD, "BookShipment", "RecordBooking"}
_SETTLED: Final = {"RecordStockSettled", "RecordPaymentSettled", "RecordShipmentSettled"}
_CONFIRMED: Final = {
    *_BOOKED,
    *("ConfirmOrder", "CommitStock", "CapturePayment", "RecordCapture", "DispatchShipment", "RecordDispatch"),
    *_SETTLED,
}
_UNDONE: Final = {"CancelOrder", "ReleaseStock", "VoidPayment", "CancelShipment", *_SETTLED}
STEPS: Final[Mapping[str, set[str]]] = {
    "completed": _CONFIRMED,
    "call retried": _CONFIRMED,
    "provider unknown": _CONFIRMED,
    "placed twice": _CONFIRMED,
    "cancelled too late": {*_CONFIRMED, "CancelOrder"},
    "declined": {*_HELD, *_UNDONE},
    "no funds": {*_HELD, *_UNDONE},
    "out of stock": {*_STOCK, *_UNDONE},
    "refused": {*_BOOKED, *_UNDONE, "RecordVoid"},
    "cancelled in flight": {*_HELD, *_UNDONE, "RecordVoid"},
    "timed out": {*_BOOKED, *_UNDONE, "RecordVoid", "RecordCancellation"},
}
"""Kind -> the commands that are handled, in every mode."""
_ACTIVITIES: Final = {
    *("ReserveStock", "AuthorizePayment", "BookShipment", "ConfirmOrder", "CommitStock", "CapturePayment"),
    *("DispatchShipment", *_SETTLED),
}
"""The commands of a completed order to which messages lead: over Temporal, activities."""
_WORKFLOWS: Final = {"temporal-orchestration": "workflow Saga", "temporal-choreography": "workflow Reactions"}
_NAMES: Final = {"duplicate": "{}", "nudge": "nudge", "call": "call {}"}
"""Kind of an observation -> the name of the span that goes with it."""


async def test_a_timeline_has_what_is_recorded_and_nothing_else(stack: Stack) -> None:
    for one in (await placed(stack)).values():
        assert one.dead_letters == one.owed == {service: [] for service in SERVICES}, one.kind
        for service in SERVICES:
            assert Counter(_shown(one, service)) == Counter(_recorded(one, service)), (one.kind, service)


async def test_every_item_has_its_cause_and_its_phase(stack: Stack) -> None:
    for one in (await placed(stack)).values():
        events = {row["id"] for rows in one.journal.values() for row in rows}
        for service in SERVICES:
            commands = {row["id"] for row in one.inbox[service]}
            calls = {call["key"] for call in _calls(one, service)}
            for item in _items(one, service):
                case = one.kind, service, item["message"], item["cause"]
                assert item["phase"] is not None, case
                if item["kind"] == "event":
                    assert item["cause"] in commands, case
                elif item["cause"] is None:
                    assert item["message"] in REQUESTED, case
                else:
                    assert item["cause"] in events | calls, case


async def test_the_calls_of_a_timeline_are_the_effects_in_the_ledger(stack: Stack) -> None:
    for one in (await placed(stack)).values():
        shown = [(call, service) for service in SERVICES for call in _calls(one, service)]
        assert sorted(call["key"] for call, _ in shown) == sorted(effect["key"] for effect in one.ledger), one.kind
        effects = {effect["key"]: effect for effect in one.ledger}
        for call, service in shown:
            effect, journal = effects[call["key"]], {row["id"]: row for row in one.journal[service]}
            assert (call["provider"], call["operation"]) == (effect["provider"], effect["operation"])
            assert _same(call["asked_at"], journal[call["asked_by"]]["recorded_at"])
            answer = journal[f"{one.id}/{call['answer']}"]
            assert _same(call["answered_at"], answer["recorded_at"])
            observed = [seen for seen in _observed(one, "call", service) if seen["message"] == call["operation"]]
            # an attempt whose lease has ended is made again
            assert sorted({seen["attempt"] for seen in observed}) == list(range(1, call["attempts"] + 1)), one.kind
            assert [seen["outcome"] for seen in observed][-1] == effect["outcome"]
            assert {seen["outcome"] for seen in observed[:-1]} <= {"unknown", effect["outcome"]}
            assert {seen["cause"] for seen in observed} == {call["asked_by"]}


async def test_a_retried_call_an_unknown_outcome_a_duplicate_a_nudge_and_a_lost_race_show(stack: Stack) -> None:
    orders = await placed(stack)
    attempts = {
        kind: {call["key"].rpartition("/")[2]: call["attempts"] for call in _calls(one)} for kind, one in orders.items()
    }
    assert attempts["completed"] == dict.fromkeys(("authorize", "book", "capture", "dispatch"), 1)
    assert attempts["call retried"]["authorize"] == 3
    assert attempts["provider unknown"]["authorize"] > 1
    assert attempts["timed out"]["book"] > 1
    again = [(seen["message"], seen["outcome"]) for seen in _observed(orders["placed twice"], "duplicate", "order")]
    assert ("PlaceOrder", "OrderPlaced") in again
    assert _observed(orders["timed out"], "nudge", "order")
    for one in orders.values():
        won = [item["message"] for item in _items(one, "order") if item["pivot"] == "won"]
        assert won == ["ConfirmOrder" if one.order["status"] == "COMPLETED" else "CancelOrder"], one.kind
    lost = [item["message"] for item in _items(orders["cancelled too late"], "order") if item["pivot"] == "lost"]
    assert lost == ["CancelOrder"]


async def test_what_is_observed_is_what_passed_the_door(stack: Stack) -> None:
    """The spans are made at the door, apart from the observations: both must tell the same, once both are written."""
    for one in (await placed(stack)).values():
        for _ in range(40):
            observed = {service: await _passed(stack, one, service) for service in SERVICES}
            made = await spans(stack, one)
            if all(_agree(observed[service], one, service, made) for service in SERVICES):
                break
            await asyncio.sleep(0.5)  # a duplicate may come late, and spans are written once a second
        for service in SERVICES:
            assert _agree(observed[service], one, service, made), (one.kind, service, observed[service])


async def test_one_checkout_is_one_trace_with_the_same_steps_in_every_mode(stack: Stack) -> None:
    commands = {kind.__name__ for name in SERVICES for kind in definition(name).service.commands}
    for one in (await placed(stack)).values():
        found = await spans(stack, one)
        inside = [span for span in found if span["trace_id"] == one.trace]
        ids = {span["span_id"] for span in inside}
        assert [span["name"] for span in inside if span["parent_id"] == one.client] == ["POST /orders"]
        broken = [span["name"] for span in inside if span["parent_id"] not in {*ids, one.client}]
        assert broken == [], one.kind
        steps = {span["name"] for span in inside} & commands
        recorded = {row["id"].rpartition("/")[2] for rows in one.inbox.values() for row in rows}
        assert steps == recorded == STEPS[one.kind], one.kind
        elsewhere = [span["name"] for span in found if span["trace_id"] != one.trace and span["name"] in commands]
        assert elsewhere == (["PlaceOrder"] if one.kind == "placed twice" else []), one.kind
        traces = {trace for timeline in one.timelines.values() if timeline for trace in timeline["trace_ids"]}
        assert traces == {one.trace}


async def test_over_temporal_activities_and_workflows_are_spans_too(stack: Stack) -> None:
    one = (await placed(stack))["completed"]
    workflow = _WORKFLOWS.get(stack.mode)
    async with asyncio.timeout(20):
        while True:
            inside = [span for span in await spans(stack, one) if span["trace_id"] == one.trace]
            if workflow is None or workflow in {span["name"] for span in inside}:
                break
            await asyncio.sleep(0.5)  # it is written when the workflow has ended
    names = {span["span_id"]: span["name"] for span in inside}
    above = {span["name"]: names.get(span["parent_id"], "") for span in inside if span["name"] in _ACTIVITIES}
    assert above.keys() == _ACTIVITIES
    assert {name for name, parent in above.items() if parent == f"activity {name}"} == (
        _ACTIVITIES if workflow else set()
    )


async def test_a_request_to_cancel_is_linked_and_so_is_a_batch_of_several(stack: Stack) -> None:
    orders = await placed(stack)
    cancelled = [
        span
        for kind in ("cancelled in flight", "cancelled too late")
        for span in await spans(stack, orders[kind])
        if span["name"] == "CancelOrder"
    ]
    everything = {(span["trace_id"], span["span_id"]): span for span in written(stack)}
    asked = [[everything[link["trace_id"], link["span_id"]]["name"] for link in span["links"]] for span in cancelled]
    assert len(asked) >= 4
    assert all(names == ["POST /orders/{order_id}/cancel"] for names in asked)
    traces = {one.trace for one in orders.values()}
    joined = [
        [(link["trace_id"], link["span_id"]) for link in span["links"]]
        for span in everything.values()
        if span["name"] == "transaction" and traces.issuperset(link["trace_id"] for link in span["links"])
    ]
    assert joined
    assert all(len(links) > 1 and everything.keys() >= set(links) for links in joined)


async def _passed(stack: Stack, one: Placed, service: str) -> Mapping[str, int]:
    """How often a command came again, a nudge was sent and a call was tried, as the service has observed it now."""
    timeline = await stack.get(f"/timeline/{one.id}", service, "root", "admin")
    seen = [seen for seen in (timeline["observed"] if timeline else ()) if seen["kind"] in _NAMES]
    return Counter(_NAMES[entry["kind"]].format(entry["message"]) for entry in seen)


def _agree(observed: Mapping[str, int], one: Placed, service: str, made: Sequence[Any]) -> bool:
    """Whether the spans say the same: of each command, one is no repeat.

    What nobody waited for any longer, on a busy machine, may have been handled or not.
    """
    own = [span for span in made if about(span) == one.id and span["service"] == service]
    answered = Counter(span["name"] for span in own if span["kind"] == "client" or span["status"] != "error")
    left = Counter(span["name"] for span in own if (span["detail"] or "").startswith("nobody waits"))
    commands = {row["id"].rpartition("/")[2] for row in one.inbox[service]}
    others = {name for name in answered | left if name == "nudge" or name.startswith("call ")}
    return observed.keys() <= commands | others and all(
        answered[name] <= observed[name] + (name in commands) <= answered[name] + left[name]
        for name in commands | others
    )


def _items(one: Placed, service: str) -> list[Any]:
    timeline = one.timelines[service]
    return timeline["items"] if timeline else []


def _calls(one: Placed, *services: str) -> list[Any]:
    found = (one.timelines[service] for service in services or SERVICES)
    return [call for timeline in found if timeline for call in timeline["calls"]]


def _observed(one: Placed, kind: str, service: str) -> list[Any]:
    timeline = one.timelines[service]
    return [seen for seen in timeline["observed"] if seen["kind"] == kind] if timeline else []


def _shown(one: Placed, service: str) -> Iterator[tuple[Any, ...]]:
    for item in _items(one, service):
        payload = msgspec.json.encode(item["payload"], order="sorted") if item["payload"] is not None else None
        yield item["message"], item["kind"], item["cause"], datetime.fromisoformat(item["at"]), payload


def _recorded(one: Placed, service: str) -> Iterator[tuple[Any, ...]]:
    for row in one.inbox[service]:
        yield row["id"].partition("/")[2], "command", row["cause"], row["claimed_at"], None
    for row in one.journal[service]:
        payload = masked(msgspec.json.decode(row["data"]), definition(service).service.sealed)
        yield row["name"], "event", row["command"], row["recorded_at"], msgspec.json.encode(payload, order="sorted")


def _same(shown: str, recorded: datetime) -> bool:
    return datetime.fromisoformat(shown) == recorded

"""Every kind of order, in every mode, against the running stack."""

import asyncio
import uuid

from tests.e2e.kinds import KINDS, effects, placed
from tests.e2e.stack import Stack, basket


async def test_an_order_of_each_kind_ends_as_it_must(stack: Stack) -> None:
    for kind, one in (await placed(stack)).items():
        end = KINDS[kind][1]
        assert (one.order["status"], one.order["cancellation_reason"]) == (end.status, end.reason), kind
        assert (one.payment, one.shipment, effects(one)) == (end.payment, end.shipment, list(end.effects)), kind
        assert one.order["mode"] == stack.mode
        body = KINDS[kind][0]
        stock = await stack.get(f"/stock/{body['lines'][0]['sku']}", "inventory")
        assert stock["available"] + stock["reserved"] + stock["committed"] == stock["received"]


async def test_placing_an_order_answers_when_it_is_decided_and_where_it_is(stack: Stack) -> None:
    orders = await placed(stack)
    for kind, one in orders.items():
        answer = one.answers["placed"]
        waited = kind not in ("cancelled in flight", "timed out")
        assert answer.status_code == (200 if waited else 202), answer.text
        assert answer.headers["Location"] == f"/orders/{one.id}"
        if waited:
            assert answer.json()["status"] == one.order["status"]
    order = orders["completed"].answers["placed"].json()
    assert (order["status"], order["settled"], order["cancellation_reason"]) == ("COMPLETED", True, None)
    assert order["total"] == {"amount": 2400, "currency": "EUR"}
    again = orders["placed twice"].answers["again"]
    assert again.json()["order_id"] == orders["placed twice"].id


async def test_a_customer_cancels_until_an_order_is_confirmed_and_may_ask_twice(stack: Stack) -> None:
    orders = await placed(stack)
    for name in ("cancelled", "cancelled again"):
        cancelled, refused = (orders[kind].answers[name] for kind in ("cancelled in flight", "cancelled too late"))
        assert cancelled.status_code == 200, cancelled.text
        assert cancelled.json()["cancellation_reason"] == "CUSTOMER_REQUESTED"
        assert (refused.status_code, refused.json()["code"]) == (409, "order_confirmed")


async def test_fifty_submits_under_one_key_are_one_order(stack: Stack) -> None:
    key = uuid.uuid4().hex
    answers = await asyncio.gather(*(stack.order(basket(), key) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["order_id"] for answer in answers}) == 1
    ledger = await stack.get(f"/ledger?order_id={answers[0].json()['order_id']}", "provider", "root", "admin")
    assert [one["operation"] for one in ledger["items"]].count("capture") == 1
    other = await stack.order(basket(quantity=3), key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_the_stream_sends_every_transition_and_ends(stack: Stack) -> None:
    order = (await stack.order(basket(), wait=None)).json()
    events: list[str] = []
    async with (
        asyncio.timeout(30),
        stack.client() as client,
        client.stream("GET", f"/orders/{order['order_id']}/events", headers=stack.headers()) as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                events.append(line.removeprefix("event: "))
    assert events[0] == "OrderPlaced"
    assert events[-1] == "OrderCompleted"
    assert "OrderConfirmed" in events

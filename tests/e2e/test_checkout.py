"""Every kind of order, in every mode, against the running stack."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.e2e.conftest import DEADLINE
from tests.e2e.stack import Stack, basket


async def _effects(stack: Stack, order_id: str) -> tuple[str | None, str | None, list[tuple[str, str, str]]]:
    payment = await stack.get(f"/payments/{order_id}", "payment")
    shipment = await stack.get(f"/shipments/{order_id}", "shipping")
    ledger = await stack.get(f"/ledger?order_id={order_id}", "provider", "root", "admin")
    entries = sorted((one["provider"], one["operation"], one["outcome"]) for one in ledger["items"])
    return payment and payment["status"], shipment and shipment["status"], entries


@pytest.mark.parametrize("token", ["tok_visa", "tok_flaky", "tok_timeout"])
async def test_a_good_order_completes_with_money_and_parcel(stack: Stack, token: str) -> None:
    answer = await stack.order(basket(token=token, quantity=2))
    assert answer.status_code == 200, answer.text
    order = answer.json()
    assert (order["status"], order["settled"], order["cancellation_reason"]) == ("COMPLETED", True, None)
    assert order["total"] == {"amount": 2400, "currency": "EUR"}
    assert order["mode"] == stack.mode
    assert answer.headers["Location"] == f"/orders/{order['order_id']}"
    payment, shipment, ledger = await _effects(stack, order["order_id"])
    assert (payment, shipment) == ("CAPTURED", "DISPATCHED")
    assert ledger == [
        ("carrier", "book", "ok"),
        ("carrier", "dispatch", "ok"),
        ("payment", "authorize", "ok"),
        ("payment", "capture", "ok"),
    ]


@pytest.mark.parametrize(
    ("body", "reason", "payment", "shipment"),
    [
        (basket(sku="sold-out"), "OUT_OF_STOCK", None, None),
        (basket(token="tok_declined"), "PAYMENT_DECLINED", "DECLINED", None),
        (basket(token="tok_insufficient_funds"), "PAYMENT_DECLINED", "DECLINED", None),
        (basket(country="AQ"), "SHIPPING_UNAVAILABLE", "VOIDED", "REFUSED"),
    ],
)
async def test_a_refused_order_is_cancelled_and_undone(
    stack: Stack, body: Any, reason: str, payment: str | None, shipment: str | None
) -> None:
    answer = await stack.order(body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["cancellation_reason"]) == ("CANCELLED", reason)
    order = await stack.settled(answer.json()["order_id"])
    effects = await _effects(stack, order["order_id"])
    assert effects[:2] == (payment, shipment)
    stock = await stack.get(f"/stock/{body['lines'][0]['sku']}", "inventory")
    assert stock["available"] + stock["reserved"] + stock["committed"] == stock["received"]


async def test_a_customer_cancels_an_order_in_flight(stack: Stack) -> None:
    order = (await stack.order(basket(token="tok_slow"), wait=None)).json()
    assert order["status"] == "PENDING"
    path = f"/orders/{order['order_id']}/cancel"
    for _ in range(2):
        answer = await stack.insist("POST", path, stack.headers())
        assert answer.status_code == 200, answer.text
        assert answer.json()["cancellation_reason"] == "CUSTOMER_REQUESTED"
    await stack.settled(order["order_id"])
    payment, shipment, ledger = await _effects(stack, order["order_id"])
    assert payment in (None, "VOIDED")
    assert shipment is None
    assert ("payment", "capture", "ok") not in ledger
    assert ledger.count(("payment", "authorize", "ok")) == ledger.count(("payment", "void", "ok"))


async def test_a_confirmed_order_can_no_longer_be_cancelled(stack: Stack) -> None:
    order = (await stack.order(basket())).json()
    answer = await stack.insist("POST", f"/orders/{order['order_id']}/cancel", stack.headers())
    assert answer.status_code == 409
    assert answer.json()["code"] == "order_confirmed"
    assert (await stack.get(f"/orders/{order['order_id']}"))["status"] == "COMPLETED"


async def test_fifty_submits_under_one_key_are_one_order(stack: Stack) -> None:
    key = uuid.uuid4().hex
    answers = await asyncio.gather(*(stack.order(basket(), key) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["order_id"] for answer in answers}) == 1
    _, _, ledger = await _effects(stack, answers[0].json()["order_id"])
    assert ledger.count(("payment", "capture", "ok")) == 1
    other = await stack.order(basket(quantity=3), key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_an_order_that_nobody_answers_times_out_and_is_undone(stack: Stack) -> None:
    stack.stop("shipping")
    try:
        answer = await stack.order(basket())
        assert (answer.json()["status"], answer.json()["cancellation_reason"]) == ("CANCELLED", "TIMED_OUT")
    finally:
        stack.start("shipping")
        await stack.ready("shipping")
    order = await stack.settled(answer.json()["order_id"])
    payment, shipment, ledger = await _effects(stack, order["order_id"])
    assert payment == "VOIDED"
    assert shipment in (None, "CANCELLED")
    assert ("payment", "void", "ok") in ledger
    assert stack.timeout > DEADLINE


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


async def test_every_service_has_its_part_of_the_timeline(stack: Stack) -> None:
    order = (await stack.order(basket())).json()
    events = {
        service: [item["message"] for item in (await stack.get(f"/timeline/{order['order_id']}", service))["items"]]
        for service in ("order", "payment", "inventory", "shipping")
    }
    assert events["order"].index("OrderPlaced") < events["order"].index("OrderConfirmed")
    assert events["order"].index("OrderConfirmed") < events["order"].index("OrderCompleted")
    assert events["inventory"].index("StockReserved") < events["inventory"].index("StockCommitted")
    assert events["payment"].index("PaymentAuthorized") < events["payment"].index("PaymentCaptured")
    assert events["shipping"].index("ShipmentBooked") < events["shipping"].index("ShipmentDispatched")

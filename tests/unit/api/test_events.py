"""What goes on beside an order: its events as they happen, its timeline, what needs attention, and outages."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from checkout.messages import CancelOrder, ConfirmOrder, RecordPaymentSettled, RecordShipmentSettled, RecordStockSettled
from sagakit.web.app import issue_token
from tests.keys import SIGNING_KEY
from tests.postgres import Server
from tests.unit.api.served import ADMIN, Served, headers, order_body, problem, served
from tests.waits import ENDS


@pytest.fixture
async def order(postgres: Server) -> AsyncIterator[Served]:
    async with served("order", postgres.database("order"), saga_attention_after=0.2) as this:
        yield this


def _events(text: str) -> list[dict[str, str]]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


async def test_events_come_as_they_happen_and_end_with_the_order(order: Served) -> None:
    order_id = (await order.place()).json()["order_id"]
    stream = asyncio.create_task(order.get(f"/orders/{order_id}/events"))
    await asyncio.sleep(0.1)
    for command in (ConfirmOrder, RecordStockSettled, RecordShipmentSettled):
        await order.do(command(order_id))
    await asyncio.sleep(0.1)
    assert not stream.done()
    await order.do(RecordPaymentSettled(order_id))
    answer = await asyncio.wait_for(stream, ENDS)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = _events(answer.text)
    assert [event["event"] for event in events] == [
        "OrderPlaced",
        "OrderConfirmed",
        "StockSettled",
        "ShipmentSettled",
        "OrderCompleted",
    ]
    rest = await order.get(f"/orders/{order_id}/events", headers(Last_Event_ID=events[2]["id"]))
    assert [event["event"] for event in _events(rest.text)] == ["ShipmentSettled", "OrderCompleted"]
    for last in (events[-1]["id"], "9" * 18):
        nothing = await order.get(f"/orders/{order_id}/events", headers(Last_Event_ID=last))
        assert (nothing.status_code, nothing.content) == (204, b"")
    for odd in ("x", "-1", "9" * 30, "0", ""):
        again = await order.get(f"/orders/{order_id}/events", headers(Last_Event_ID=odd))
        assert len(_events(again.text)) == 5


async def test_a_cancelled_orders_events_end_when_it_is_settled(order: Served) -> None:
    order_id = (await order.place()).json()["order_id"]
    await order.do(CancelOrder(order_id, "OUT_OF_STOCK"))
    stream = asyncio.create_task(order.get(f"/orders/{order_id}/events"))
    await asyncio.sleep(0.2)
    assert not stream.done()
    for command in (RecordStockSettled, RecordShipmentSettled, RecordPaymentSettled):
        await order.do(command(order_id))
    names = [event["event"] for event in _events((await asyncio.wait_for(stream, ENDS)).text)]
    assert names[-1] == "CancellationSettled"


async def test_the_streams_of_a_customer_are_limited(postgres: Server) -> None:
    async with served("order", postgres.database("order"), streams_per_customer=2) as this:
        order_id = (await this.place()).json()["order_id"]
        path = f"/orders/{order_id}/events"
        streams = [asyncio.create_task(this.get(path)) for _ in range(2)]
        await asyncio.sleep(0.2)
        refused = await this.get(path)
        problem(refused, 429, "too_many_streams")
        assert int(refused.headers["retry-after"]) >= 1
        operators = asyncio.create_task(this.get(path, ADMIN))
        await this.do(CancelOrder(order_id, "OUT_OF_STOCK"))
        for command in (RecordStockSettled, RecordShipmentSettled, RecordPaymentSettled):
            await this.do(command(order_id))
        answers = await asyncio.wait_for(asyncio.gather(*streams, operators), 3)
        assert {answer.text.count("event: ") for answer in answers} == {5}
        assert (await this.get(path)).status_code == 200


async def test_a_timeline_is_its_owners_and_the_operators(order: Served) -> None:
    order_id = (await order.place()).json()["order_id"]
    await order.do(ConfirmOrder(order_id), f"{order_id}/ShipmentBooked")
    for given in (headers(), ADMIN):
        body = (await order.get(f"/timeline/{order_id}", given)).json()
        assert (body["order_id"], body["service"]) == (order_id, "order")
        assert [(item["message"], item["kind"], item["cause"]) for item in body["items"]] == [
            ("PlaceOrder", "command", None),
            ("OrderPlaced", "event", f"{order_id}/PlaceOrder"),
            ("ConfirmOrder", "command", f"{order_id}/ShipmentBooked"),
            ("OrderConfirmed", "event", f"{order_id}/ConfirmOrder"),
        ]
    problem(await order.get(f"/timeline/{order_id}", headers("bob")), 404, "not_found")
    problem(await order.get("/timeline/none", ADMIN), 404, "not_found")
    problem(await order.get("/timeline/%00", ADMIN), 404, "not_found")


async def test_without_its_database_a_service_says_so_and_keeps_nothing(postgres: Server, order: Served) -> None:
    order_id = (await order.place()).json()["order_id"]
    await order.get("/orders")
    await asyncio.to_thread(postgres.kill)
    waits: list[tuple[str, str, Any]] = [
        ("POST", "/orders", order_body()),
        ("GET", "/orders", None),
        ("GET", f"/orders/{order_id}", None),
        ("POST", f"/orders/{order_id}/cancel", None),
        ("GET", f"/orders/{order_id}/events", None),
        ("GET", f"/timeline/{order_id}", None),
        ("GET", f"/timeline/{order_id}/events", None),
    ]
    for method, path, body in waits:
        answer = await order.client.request(method, path, json=body, headers=headers(Idempotency_Key="new"))
        problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    problem(await order.get("/attention", ADMIN), 503, "unavailable")
    assert (await order.client.get("/health/live")).status_code == 200
    await asyncio.to_thread(postgres.start)
    assert len((await order.get("/orders")).json()["items"]) == 1
    assert (await order.place("new")).status_code == 202


async def test_an_expired_token_is_refused(order: Served) -> None:
    token = issue_token(SIGNING_KEY, "alice", ttl=10, now=0)
    problem(await order.get("/orders", {"Authorization": f"Bearer {token}"}), 401, "unauthenticated")

"""Placing, reading, listing and cancelling orders: every status and body that clients rely on."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Message

from checkout.messages import (
    CancelOrder,
    ConfirmOrder,
    PlaceOrder,
    RecordPaymentSettled,
    RecordShipmentSettled,
    RecordStockSettled,
)
from order_service.schemas import OrderIn
from tests.postgres import Server
from tests.service_process import basket
from tests.unit.api.served import ADMIN, Served, headers, order_body, problem, served
from tests.waits import ENDS


@pytest.fixture
async def order(postgres: Server) -> AsyncIterator[Served]:
    async with served("order", postgres.database("order")) as this:
        yield this


async def _complete(order: Served, order_id: str) -> None:
    for command in (ConfirmOrder, RecordStockSettled, RecordPaymentSettled, RecordShipmentSettled):
        await order.do(command(order_id))


async def test_an_order_is_accepted_with_its_location_and_its_prices(order: Served) -> None:
    answer = await order.place()
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert str(uuid.UUID(body["order_id"])) == body["order_id"]
    assert answer.headers["location"].endswith(f"/orders/{body['order_id']}")
    assert "preference-applied" not in answer.headers
    assert body | {"order_id": "", "created_at": ""} == {
        "order_id": "",
        "status": "PENDING",
        "settled": False,
        "cancellation_reason": None,
        "total": {"amount": 2400, "currency": "EUR"},
        "lines": [{"sku": "espresso-cup", "quantity": 2, "unit_price": {"amount": 1200, "currency": "EUR"}}],
        "created_at": "",
        "mode": "kafka-choreography",
    }
    assert body["created_at"].endswith("Z")
    assert (await order.get(answer.headers["location"])).json() == body


async def test_a_key_means_one_order_of_one_customer(order: Served) -> None:
    first = (await order.place("same")).json()
    spaced = headers(Idempotency_Key="same", Content_Type="application/json")
    text = str(order_body()).replace("'", '"').replace(", ", " ,\n ")
    again = await order.client.post("/orders", content=text, headers=spaced)
    assert again.status_code == 202
    assert again.json() == first
    assert (
        await order.place("same", _with(2.0, "lines", 0, "quantity"))
    ).json() == first  # in JSON Schema 2.0 is an integer
    other = problem(await order.place("same", order_body(quantity=3)), 422, "idempotency_key_reused")
    assert other["errors"][0]["field"] == "Idempotency-Key"
    assert (await order.place("same", customer="bob")).json()["order_id"] != first["order_id"]
    assert await order.service_process.count("orders") == 2


async def test_concurrent_duplicates_join_the_first(order: Served) -> None:
    answers = await asyncio.gather(*(order.place("same") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["order_id"] for answer in answers}) == 1
    assert await order.service_process.count("orders") == await order.service_process.count("journal") == 1


async def test_one_of_two_processes_places_the_order_of_a_key(order: Served, caplog: pytest.LogCaptureFixture) -> None:
    async with served("order", order.service_process.settings.database_url) as other:
        for number in range(10):
            keys = [f"{number}-{key}" for key in range(5)]
            answers = await asyncio.gather(*(process.place(key) for key in keys for process in (order, other) * 2))
            assert {answer.status_code for answer in answers} == {202}
            assert len({answer.json()["order_id"] for answer in answers}) == len(keys)
        assert await order.service_process.count("orders") == await order.service_process.count("journal") == 50
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_ids_begin_with_the_time_of_the_placing(order: Served) -> None:
    before = int(time.time() * 1000)
    placed = [uuid.UUID((await order.place(f"k{number}")).json()["order_id"]) for number in range(3)]
    assert {one.version for one in placed} == {7}
    assert {one.variant for one in placed} == {uuid.RFC_4122}
    times = [one.int >> 80 for one in placed]
    assert [before, *times, int(time.time() * 1000)] == sorted([before, *times, int(time.time() * 1000)])


async def test_an_order_that_is_there_stands_whatever_its_id(order: Served) -> None:
    fingerprint = OrderIn.model_validate(order_body()).fingerprint()
    await order.do(PlaceOrder("an-older-id", "k", fingerprint, basket(customer="alice")))
    assert (await order.place("k")).json()["order_id"] == "an-older-id"
    problem(await order.place("k", order_body(quantity=3)), 422, "idempotency_key_reused")


async def test_a_wait_ends_with_the_order(order: Served) -> None:
    waiting = asyncio.create_task(order.place(Prefer="wait=20"))
    await order.service_process.until("SELECT count(*) FROM orders WHERE status = 'PENDING'", 1)
    order_id = (await order.service_process.rows("SELECT order_id FROM orders"))[0].order_id
    await _complete(order, order_id)
    answer = await asyncio.wait_for(waiting, 5)
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=20"
    assert "location" in answer.headers
    assert (answer.json()["status"], answer.json()["settled"]) == ("COMPLETED", True)
    assert (await order.place(Prefer="wait=20")).status_code == 200
    assert (await order.place()).status_code == 202


async def test_a_cancelled_order_is_answered_at_once_settled_or_not(order: Served) -> None:
    waiting = asyncio.create_task(order.place(Prefer="respond-async, wait=20"))
    await order.service_process.until("SELECT count(*) FROM orders WHERE status = 'PENDING'", 1)
    order_id = (await order.service_process.rows("SELECT order_id FROM orders"))[0].order_id
    await order.do(CancelOrder(order_id, "OUT_OF_STOCK"))
    answer = await asyncio.wait_for(waiting, 5)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["settled"], body["cancellation_reason"]) == ("CANCELLED", False, "OUT_OF_STOCK")


async def test_a_wait_that_runs_out_is_202(order: Served) -> None:
    answer = await order.place(Prefer="wait=1")
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    assert answer.headers["preference-applied"] == "wait=1"
    confirmed = await order.place("k2")
    await order.do(ConfirmOrder(confirmed.json()["order_id"]))
    answer = await order.place("k2", Prefer="wait=1")
    assert (answer.status_code, answer.json()["status"]) == (202, "CONFIRMED")


@pytest.mark.parametrize("shortcut", [True, False])
async def test_a_wait_ends_when_the_client_disconnects_and_the_order_goes_on(order: Served, shortcut: bool) -> None:
    given = headers(Idempotency_Key="k1", Prefer="wait=60", Content_Type="application/json")
    if shortcut:
        await order.get("/orders", given)  # the shortcut knows only tokens that were verified before
    body = json.dumps(order_body()).encode()
    if shortcut:
        given["Content-Length"] = str(len(body))
    hangs_up, whole = asyncio.Event(), [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        if whole:
            return whole.pop()
        await hangs_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        """Nobody reads it."""

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/orders",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "query_string": b"",
    }
    serving = asyncio.create_task(order.app(scope, receive, send))
    await order.service_process.until("SELECT count(*) FROM orders WHERE status = 'PENDING'", 1)
    assert not serving.done()
    hangs_up.set()
    await asyncio.wait_for(serving, ENDS)
    await _complete(order, (await order.service_process.rows("SELECT order_id FROM orders"))[0].order_id)
    assert (await order.place()).json()["status"] == "COMPLETED"


@pytest.mark.parametrize("prefer", ["wait=soon", "return=minimal", "wait"])
async def test_a_preference_that_is_none_of_ours_is_ignored(order: Served, prefer: str) -> None:
    answer = await order.place(Prefer=prefer)
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


def _with(value: Any, *path: Any) -> Any:
    body: Any = order_body()
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        (_with([], "lines"), "lines"),
        (_with([{"sku": "tea-pot", "quantity": 1}] * 51, "lines"), "lines"),
        (_with(0, "lines", 0, "quantity"), "lines.0.quantity"),
        (_with(101, "lines", 0, "quantity"), "lines.0.quantity"),
        (_with(1.5, "lines", 0, "quantity"), "lines.0.quantity"),
        (_with(True, "lines", 0, "quantity"), "lines.0.quantity"),
        (_with("1", "lines", 0, "quantity"), "lines.0.quantity"),
        (_with("nothing", "lines", 0, "sku"), "lines.0.sku"),
        (_with("a\x00b", "lines", 0, "sku"), "lines.0.sku"),
        (_with(100, "lines", 0, "unit_price"), "lines.0.unit_price"),
        (_with("", "payment", "token"), "payment.token"),
        (_with("sealed:by somebody else", "payment", "token"), "payment.token"),
        (_with({}, "payment"), "payment.token"),
        (_with("lv", "shipping_address", "country"), "shipping_address.country"),
        (_with("LV\n", "shipping_address", "country"), "shipping_address.country"),
        (_with("Ri\nga", "shipping_address", "city"), "shipping_address.city"),
        (_with("x" * 201, "shipping_address", "name"), "shipping_address.name"),
        (_with(1, "price"), "price"),
        (_with("   ", "shipping_address", "name"), "shipping_address.name"),
        (_with("\u200d", "payment", "token"), "payment.token"),
        (_with("a\uffff", "shipping_address", "line1"), "shipping_address.line1"),
        (_with("\u2028", "shipping_address", "postal_code"), "shipping_address.postal_code"),
    ],
)
async def test_a_bad_body_is_422_and_names_the_field(order: Served, body: Any, field: str) -> None:
    told = problem(await order.place(body=body), 422, "validation")
    assert told["errors"][0]["field"] == field
    assert told["detail"].startswith(field)
    assert await order.service_process.count("inbox") == 0


async def test_an_unpaired_surrogate_is_refused(order: Served) -> None:
    body = json.dumps(_with("\ud800", "shipping_address", "city"))
    given = headers(Idempotency_Key="k", Content_Type="application/json")
    told = problem(await order.client.post("/orders", content=body, headers=given), 422, "validation")
    assert told["errors"][0]["field"] == "shipping_address.city"


async def test_the_second_line_is_named_by_its_place(order: Served) -> None:
    body = order_body()
    body["lines"].append({"sku": "gone", "quantity": 1})
    assert problem(await order.place(body=body), 422, "validation")["errors"][0]["field"] == "lines.1.sku"


async def test_what_is_no_json_is_refused_but_a_stranger_learns_nothing(order: Served) -> None:
    given = headers(Idempotency_Key="k", Content_Type="application/json")
    problem(await order.client.post("/orders", content="{", headers=given), 400, "malformed_json")
    del given["Authorization"]
    problem(await order.client.post("/orders", content="{", headers=given), 401, "unauthenticated")
    given = headers(Idempotency_Key="k", Content_Type="text/plain")
    problem(await order.client.post("/orders", content="hello", headers=given), 415, "unsupported_media_type")
    given = headers(Idempotency_Key="k", Content_Type="application/json")
    big = b'{"x": "' + b"x" * 65536 + b'"}'
    problem(await order.client.post("/orders", content=big, headers=given), 413, "body_too_large")


async def test_who_may_not_is_told_so(order: Served) -> None:
    order_id = (await order.place()).json()["order_id"]
    for method, path in (
        ("GET", "/orders"),
        ("POST", "/orders"),
        ("GET", f"/orders/{order_id}"),
        ("POST", f"/orders/{order_id}/cancel"),
        ("GET", f"/orders/{order_id}/events"),
        ("GET", f"/timeline/{order_id}"),
        ("GET", "/attention"),
    ):
        answer = await order.client.request(method, path)
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        problem(await order.client.request(method, path, headers={"Authorization": "Bearer x"}), 401, "unauthenticated")
    problem(await order.get("/attention"), 403, "forbidden")
    problem(await order.post("/attention/x/retry"), 403, "forbidden")
    for path in (f"/orders/{order_id}", f"/orders/{order_id}/events", f"/timeline/{order_id}", "/orders/none"):
        problem(await order.get(path, headers("mallory")), 404, "not_found")
    problem(await order.post(f"/orders/{order_id}/cancel", headers("mallory")), 404, "not_found")
    problem(await order.client.post("/orders", json=order_body(), headers=headers()), 400, "idempotency_key_missing")
    problem(await order.place("k" * 256), 422, "idempotency_key_invalid")
    assert (await order.place("k" * 255)).status_code == 202
    answer = await order.client.delete("/orders", headers=headers())
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_faults_can_be_set_only_where_that_is_switched_on_and_by_an_operator(postgres: Server) -> None:
    async with served("order", postgres.database("order")) as closed:
        problem(await closed.get("/faults", ADMIN), 404, "not_found")
        assert "/faults" not in (await closed.client.get("/openapi.json")).json()["paths"]
    async with served("order", postgres.database("order"), fault_injection=True) as opened:
        problem(await opened.get("/faults"), 403, "forbidden")
        assert (await opened.get("/faults", ADMIN)).status_code == 200


async def test_a_cancel_wins_once_and_is_told_again(order: Served) -> None:
    order_id = (await order.place()).json()["order_id"]
    for _ in range(2):
        answer = await order.post(f"/orders/{order_id}/cancel")
        assert answer.status_code == 200
        assert answer.json()["cancellation_reason"] == "CUSTOMER_REQUESTED"
        assert answer.json()["status"] == "CANCELLED"


async def test_a_cancel_that_lost_is_409_with_the_reason(order: Served) -> None:
    confirmed, timed_out, completed = [(await order.place(key)).json()["order_id"] for key in "abc"]
    await order.do(ConfirmOrder(confirmed))
    await order.do(CancelOrder(timed_out, "TIMED_OUT"))
    await _complete(order, completed)
    for _ in range(2):
        told = problem(await order.post(f"/orders/{confirmed}/cancel"), 409, "order_confirmed")
        assert told["order_status"] == "CONFIRMED"
        told = problem(await order.post(f"/orders/{timed_out}/cancel"), 409, "order_cancelled")
        assert told["cancellation_reason"] == "TIMED_OUT"
        assert "TIMED_OUT" in told["detail"]
        told = problem(await order.post(f"/orders/{completed}/cancel"), 409, "order_confirmed")
        assert told["order_status"] == "COMPLETED"


async def test_orders_come_in_pages_newest_first(order: Served) -> None:
    placed = [(await order.place(f"k{n}")).json()["order_id"] for n in range(5)]
    await order.place("other", customer="bob")
    found: list[str] = []
    path = "/orders?limit=2"
    for size in (2, 2, 1):
        page = (await order.get(path)).json()
        assert len(page["items"]) == size
        found += [item["order_id"] for item in page["items"]]
        path = f"/orders?limit=2&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert found == placed[::-1]
    assert len((await order.get("/orders", ADMIN)).json()["items"]) == 6
    await order.do(CancelOrder(placed[1], "TIMED_OUT"))
    page = (await order.get("/orders?status=CANCELLED")).json()
    assert [item["order_id"] for item in page["items"]] == [placed[1]]
    assert (await order.get("/orders?status=COMPLETED")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=NEW", "status"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=WyIyMDI2LTAxLTAxIiwieCJd", "cursor"),
        ("cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwieCJd", "cursor"),
    ],
)
async def test_a_bad_query_is_422_and_names_the_parameter(order: Served, query: str, field: str) -> None:
    told = problem(await order.get(f"/orders?{query}"), 422, "validation")
    assert told["errors"][0]["field"] == field


async def test_the_documentation_is_there(order: Served) -> None:
    assert "swagger" in (await order.client.get("/docs")).text.lower()
    described = (await order.client.get("/openapi.json")).json()
    post = described["paths"]["/orders"]["post"]
    assert {one["name"] for one in post["parameters"]} == {"Idempotency-Key", "Prefer"}
    assert "OrderIn" in str(post["requestBody"])
    assert post["security"]

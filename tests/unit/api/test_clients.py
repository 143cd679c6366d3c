"""Clients that are right: a repeat of what was accepted, a name in any script, HEAD; and bodies that say two things."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import ValidationError

from checkout.messages import PlaceOrder
from order_service.schemas import OrderIn, OrderShape, UnacceptableOrder
from tests.postgres import Server
from tests.service_process import basket
from tests.unit.api.served import Served, headers, order_body, problem, served


@pytest.fixture
async def order(postgres: Server) -> AsyncIterator[Served]:
    async with served("order", postgres.database("order")) as this:
        yield this


@asynccontextmanager
async def again(order: Served) -> AsyncIterator[Served]:
    """The same service after a restart: a client of a new process on the same database."""
    async with served("order", order.service_process.settings.database_url) as this:
        yield this


async def test_a_repeat_gives_the_order_whatever_has_changed_meanwhile(order: Served) -> None:
    first = (await order.place("same")).json()
    for change in (
        "UPDATE catalogue SET price = price * 2 WHERE sku = 'espresso-cup'",
        "DELETE FROM catalogue WHERE sku = 'espresso-cup'",
        "DELETE FROM catalogue",
    ):
        await order.service_process.execute(change)
        async with again(order) as restarted:
            assert (await restarted.place("same")).json() == first
            problem(await restarted.place("same", order_body(quantity=3)), 422, "idempotency_key_reused")
            problem(await restarted.place("same", order_body("gone")), 422, "idempotency_key_reused")
    async with again(order) as restarted:
        told = problem(await restarted.place("new"), 422, "validation")
        assert told["errors"] == [{"field": "lines.0.sku", "message": "is not in the catalogue; GET /stock lists it"}]
    assert await order.service_process.count("orders") == 1


def test_a_field_that_was_added_since_changes_no_fingerprint_while_it_is_absent() -> None:
    class Later(OrderIn):
        gift: bool = False

    body = order_body()
    assert Later.model_validate(body).fingerprint() == OrderIn.model_validate(body).fingerprint()
    assert Later.model_validate({**body, "gift": True}).fingerprint() != OrderIn.model_validate(body).fingerprint()


async def test_bounds_that_have_become_stricter_are_for_new_orders(order: Served) -> None:
    body = order_body()
    body["shipping_address"]["name"] = "x" * 201
    refused = problem(await order.place("k", body), 422, "validation")
    assert refused["errors"] == [
        {"field": "shipping_address.name", "message": "String should have at most 200 characters"}
    ]
    once = OrderShape.model_validate(body)
    given = json.loads(once.model_dump_json())
    fingerprint = UnacceptableOrder(once, ValidationError.from_exception_data("", [])).fingerprint()
    order_id = "placed-before"
    placed = PlaceOrder(order_id, "k", fingerprint, basket(customer="alice"))
    await order.do(placed)
    answer = await order.place("k", given)
    assert (answer.status_code, answer.json()["order_id"]) == (202, order_id)
    given["shipping_address"]["name"] = "y" * 201
    problem(await order.place("k", given), 422, "idempotency_key_reused")
    for number in (2**63 - 1, -1):
        given["lines"][0]["quantity"] = number
        problem(await order.place("k", given), 422, "idempotency_key_reused")
    for number in (2**63, 10**400):
        given["lines"][0]["quantity"] = number
        problem(await order.place("k", given), 422, "validation")
    del given["payment"]
    problem(await order.place("k", given), 422, "validation")


def test_what_was_accepted_and_what_is_refused_have_the_same_digest() -> None:
    body = order_body()
    shape = UnacceptableOrder(OrderShape.model_validate(body), ValidationError.from_exception_data("", []))
    assert OrderIn.model_validate(body).fingerprint() == shape.fingerprint()


async def test_names_and_addresses_of_every_script_are_taken(order: Served) -> None:
    body = order_body()
    body["shipping_address"] |= {
        "name": "\u5c71\u7530\u3000\u592a\u90ce",
        "line1": "\u00a0Rue\u00a0de l'\u00c9glise " + "\U00020bb7" * 180,
        "city": "\u0641\u0627\u0637\u0645\u0647\u200c\u0632",
    }
    assert (await order.place(body=body)).status_code == 202
    stored = json.loads((await order.service_process.rows("SELECT checkout FROM orders"))[0].checkout)
    assert stored["address"] == body["shipping_address"]


async def test_a_duplicate_key_is_refused(order: Served) -> None:
    text = json.dumps(order_body()).replace('"quantity": 2', '"quantity": 1, "quantity": 2')
    given = headers(Idempotency_Key="k", Content_Type="application/json")
    told = problem(await order.client.post("/orders", content=text, headers=given), 422, "validation")
    assert told["errors"] == [{"field": "lines.0.quantity", "message": "stands twice in its object"}]


async def test_head_works_where_get_works(order: Served) -> None:
    order_id = (await order.place()).json()["order_id"]
    for path in ("/orders", f"/orders/{order_id}", f"/timeline/{order_id}"):
        head = await order.client.head(path, headers=headers())
        assert (head.status_code, head.content) == (200, b"")
        assert (await order.client.head(path)).status_code == 401
    stream = await asyncio.wait_for(order.client.head(f"/orders/{order_id}/events", headers=headers()), 5)
    assert (stream.status_code, stream.content) == (200, b"")

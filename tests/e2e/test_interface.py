"""What the interface promises about bad input and other people's orders."""

import uuid
from importlib import import_module
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url

from sagakit.app.host import digest
from tests.e2e.stack import SERVICES, Stack, basket


def _without(body: Any, *path: Any) -> Any:
    *parents, last = path
    inner = body
    for step in parents:
        inner = inner[step]
    del inner[last]
    return body


def _with(body: Any, value: Any, *path: Any) -> Any:
    *parents, last = path
    inner = body
    for step in parents:
        inner = inner[step]
    inner[last] = value
    return body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (_without(basket(), "lines"), "lines"),
        (_with(basket(), [], "lines"), "lines"),
        (_with(basket(), 0, "lines", 0, "quantity"), "lines.0.quantity"),
        (_with(basket(), 101, "lines", 0, "quantity"), "lines.0.quantity"),
        (_with(basket(), "two", "lines", 0, "quantity"), "lines.0.quantity"),
        (basket(sku="no-such-thing"), "lines.0.sku"),
        (_without(basket(), "payment", "token"), "payment.token"),
        (_with(basket(), "Latvia", "shipping_address", "country"), "shipping_address.country"),
        (_with(basket(), 1, "price"), "price"),
    ],
)
async def test_a_malformed_order_gets_a_problem_that_names_the_field(stack: Stack, body: Any, field: str) -> None:
    answer = await stack.order(body, wait=None)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field
    assert field in answer.json()["detail"]


async def test_an_order_needs_a_token_and_a_key(stack: Stack) -> None:
    async with stack.client() as client:
        answer = await client.post("/orders", json=basket(), headers={"Idempotency-Key": "k"})
        assert answer.status_code == 401
        answer = await client.post("/orders", json=basket(), headers=stack.headers())
        assert answer.status_code == 400
        assert "Idempotency-Key" in answer.json()["detail"]


async def test_a_body_over_64_kib_is_refused(stack: Stack) -> None:
    body = _with(basket(), "x" * 70_000, "shipping_address", "name")
    assert (await stack.order(body, wait=None)).status_code == 413


async def test_other_peoples_orders_are_not_found(stack: Stack) -> None:
    order = (await stack.order(basket(), customer="alice")).json()
    for service, path in {
        "order": f"/orders/{order['order_id']}",
        "payment": f"/payments/{order['order_id']}",
        "shipping": f"/shipments/{order['order_id']}",
    }.items():
        assert await stack.get(path, service, "mallory") is None
        assert await stack.get(path, service, "alice") is not None
        assert await stack.get(path, service, "root", "admin") is not None
    for service in SERVICES:
        assert await stack.get(f"/timeline/{order['order_id']}", service, "mallory") is None
    answer = await stack.insist("POST", f"/orders/{order['order_id']}/cancel", stack.headers("mallory"))
    assert answer.status_code == 404


async def test_orders_are_listed_in_pages_newest_first(stack: Stack) -> None:
    customer = f"reader-{uuid.uuid4().hex[:8]}"
    placed = [(await stack.order(basket(), customer=customer)).json()["order_id"] for _ in range(3)]
    first = await stack.get("/orders?limit=2&status=COMPLETED", customer=customer)
    rest = await stack.get(f"/orders?limit=2&cursor={first['next_cursor']}", customer=customer)
    assert [order["order_id"] for order in first["items"] + rest["items"]] == placed[::-1]
    assert rest["next_cursor"] is None


async def test_a_restock_counts_once_per_key(stack: Stack) -> None:
    before = await stack.get("/stock/tea-pot", "inventory")
    headers = stack.headers("root", "admin", **{"Idempotency-Key": uuid.uuid4().hex})
    for _ in range(2):
        path = "/stock/tea-pot/restock"
        answer = await stack.insist("POST", path, headers, {"quantity": 10}, service="inventory")
        assert answer.status_code == 200
        assert answer.json()["received"] == before["received"] + 10
    answer = await stack.insist("POST", path, headers, {"quantity": 11}, service="inventory")
    assert answer.status_code == 422
    answer = await stack.insist("POST", path, stack.headers(), {"quantity": 1}, service="inventory")
    assert answer.status_code == 403


async def test_a_database_lets_its_own_service_in_and_no_other(stack: Stack) -> None:
    for service in SERVICES:
        url = make_url(stack.environment[f"{service.upper()}_DATABASE_URL"])
        for other in SERVICES:
            port = make_url(stack.environment[f"{other.upper()}_DATABASE_URL"]).port
            words = {"host": url.host, "port": port, "user": url.username, "password": url.password}
            if other == service:
                await (await asyncpg.connect(**words, database=url.database)).close()
            else:
                with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
                    await asyncpg.connect(**words, database=f"{other}_service")


async def test_the_domain_is_the_same_in_every_mode(stack: Stack) -> None:
    """It comes from the source, whatever the mode, and so is the same in all."""
    for service in SERVICES:
        ready = await stack.get("/health/ready", service)
        assert ready["mode"] == stack.mode
        assert ready["domain"] == digest(import_module(f"{service}_service.main").DEFINITION.domain)

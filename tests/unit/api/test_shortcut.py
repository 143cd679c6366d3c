"""The shortcut of `POST /orders` against its route, which is its oracle: both answer every request alike."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sagakit.web.app import Application, PlainRequest
from tests.postgres import Server
from tests.unit.api.served import Served, headers, order_body, served


class Both:
    """The order service, where a request can be sent by the shortcut and past it."""

    def __init__(self, order: Served) -> None:
        self.order, self.taken = order, 0
        self.token, self.operator = headers(), headers("root", "admin")
        assert isinstance(order.app, Application)
        self.shortcuts = order.app.shortcuts
        self.shortcut = self.shortcuts["/orders"]
        self.shortcuts["/orders"] = self.counted

    async def counted(self, request: PlainRequest) -> Any:
        self.taken += 1
        answer = await self.shortcut(request)
        self.taken -= answer is None
        return answer

    async def send(self, content: bytes, given: Any, shortcut: bool) -> tuple[int, dict[str, str], Any]:
        if not shortcut:
            del self.shortcuts["/orders"]
        answer = await self.order.client.post("/orders", content=content, headers=given)
        self.shortcuts["/orders"] = self.counted
        kept = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
        return answer.status_code, kept, {**answer.json(), "request_id": ""}

    async def alike(self, body: Any = None, *, quick: bool = True, **given: Any) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(order_body() if body is None else body).encode()
        named = {**self.token, "Content-Type": "application/json", "Idempotency-Key": "k", **given}
        before = self.taken
        by_shortcut = await self.send(content, named, True)
        assert (self.taken > before) is quick, by_shortcut
        assert by_shortcut == await self.send(content, named, False)
        return by_shortcut


@pytest.fixture
async def both(postgres: Server) -> AsyncIterator[Both]:
    async with served("order", postgres.database("order")) as order:
        both = Both(order)
        for known in (both.token, both.operator):  # the shortcut knows only tokens that were verified before
            await order.get("/orders", known)
        yield both


async def test_a_new_order_is_answered_alike_and_placed_once(both: Both) -> None:
    status, told, body = await both.alike()
    assert (status, body["status"], told["location"]) == (202, "PENDING", f"/orders/{body['order_id']}")
    assert await both.order.service_process.count("orders") == 1


async def test_a_wait_is_answered_alike(both: Both) -> None:
    status, told, _ = await both.alike(Prefer="wait=1")
    assert (status, told["preference-applied"]) == (202, "wait=1")
    assert "preference-applied" not in (await both.alike(Prefer="wait=soon"))[1]
    cancelled = asyncio.create_task(both.alike(Prefer="respond-async, wait=20", **{"Idempotency-Key": "k2"}))
    await both.order.service_process.until("SELECT count(*) FROM orders", 2)
    rows = await both.order.service_process.rows("SELECT order_id FROM orders WHERE idempotency_key = 'k2'")
    await both.order.post(f"/orders/{rows[0].order_id}/cancel")
    status, _, body = await cancelled
    assert (status, body["status"]) == (200, "CANCELLED")


async def test_what_depends_on_stored_state_is_refused_alike(both: Both) -> None:
    await both.alike()
    assert (await both.alike(order_body(quantity=3)))[2]["code"] == "idempotency_key_reused"
    unknown = (await both.alike(order_body("gone"), **{"Idempotency-Key": "other"}))[2]
    assert unknown["errors"][0]["field"] == "lines.0.sku"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"Authorization": "Bearer x"}, 401),
        ({"Idempotency-Key": ""}, 400),
        ({"Idempotency-Key": "k" * 256}, 422),
        ({"Idempotency-Key": "ключ".encode()}, 202),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 202),
    ],
)
async def test_an_unusual_head_is_left_to_the_route(both: Both, given: dict[str, Any], status: int) -> None:
    assert (await both.alike(quick=False, **given))[0] == status


async def test_an_operator_is_refused_alike(both: Both) -> None:
    assert (await both.alike(quick=False, **both.operator))[0] == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"x": "' + b"x" * 65_536 + b'"}', 413),
        (json.dumps(order_body()).replace('"quantity": 2', '"quantity": 2, "quantity": 2').encode(), 422),
        (order_body(quantity=101), 422),
        (order_body(price=1), 422),
        (json.dumps(order_body()).replace("Riga", r"R\u012bga").encode(), 202),
    ],
)
async def test_an_unusual_body_is_left_to_the_route(both: Both, body: Any, status: int) -> None:
    assert (await both.alike(body, quick=False))[0] == status

"""Locks rows in all four databases, and places orders that need them."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import httpx

from loadtests.shoppers import single
from sagakit.web.app import issue_token

SKUS: Final = ("limited-edition", "espresso-cup", "tea-pot", "milk-jug")
"""Four rows of the stock; the shoppers of a load test want others."""

OWN: Final = (("shipping", "shipments"), ("payment", "payments"), ("order", "orders"))
"""Six more: two rows of each of these tables, in this order: behind a locked order no shipment would be booked."""


@dataclass(frozen=True, slots=True)
class Affected:
    """The orders behind the locks: order id -> how it ended; `rows` that were locked in all."""

    rows: int
    orders: Mapping[str, str] = field(default_factory=dict)


async def hold(stack: Mapping[str, str], seconds: float) -> Affected:
    """Lock ten rows for that long, place orders that need them meanwhile, and return how these ended."""
    token = issue_token(stack["TOKEN_SIGNING_KEY"], "behind-the-lock")
    async with httpx.AsyncClient(base_url=stack["ORDER_URL"], timeout=60) as shop:
        before = [await _place(shop, token, "item-0001") for _ in range(2)]
        sessions = [await _session(stack, service) for service in ("inventory", *(one for one, _ in OWN))]
        rows = 0
        try:
            stock, *others = sessions
            rows += await _lock(stock, "stock_items", "sku", SKUS)
            for session, (_, table) in zip(others, OWN, strict=True):
                rows += await _lock(session, table, "order_id", before)
            behind = [asyncio.create_task(_place(shop, token, sku)) for sku in SKUS]
            await asyncio.sleep(seconds)  # the duration of the fault
        finally:
            for session in sessions:
                await session.close()
        orders = [*before, *await asyncio.gather(*behind)]
        return Affected(rows, {one: await _end(shop, token, one) for one in orders})


async def _session(stack: Mapping[str, str], service: str) -> asyncpg.Connection:
    url = stack[f"{service.upper()}_DATABASE_URL"].replace("+asyncpg", "", 1)
    session = await asyncpg.connect(url, server_settings={"idle_in_transaction_session_timeout": "0"})
    await session.execute("BEGIN")
    return session


async def _lock(session: asyncpg.Connection, table: str, key: str, keys: Any) -> int:
    """Lock these rows, once all of them exist; returns their number."""
    statement = f"SELECT 1 FROM {table} WHERE {key} = ANY($1::text[]) FOR UPDATE"
    async with asyncio.timeout(20):
        while True:
            rows = len(await session.fetch(statement, list(keys)))
            if rows == len(keys):
                return rows
            await asyncio.sleep(0.02)


async def _place(shop: httpx.AsyncClient, token: str, sku: str) -> str:
    """Place an order, retried until it is accepted; returns its id."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex}
    async with asyncio.timeout(60):
        while True:
            answer = await shop.post("/orders", headers=headers, json=single(sku))
            if answer.status_code != 503:
                answer.raise_for_status()
                return str(answer.json()["order_id"])
            await asyncio.sleep(float(answer.headers["Retry-After"]))


async def _end(shop: httpx.AsyncClient, token: str, order_id: str) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(60):
        while True:
            order = (await shop.get(f"/orders/{order_id}", headers=headers)).json()
            if order["settled"]:
                return str(order["cancellation_reason"] or order["status"])
            await asyncio.sleep(0.2)

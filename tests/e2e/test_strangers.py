"""A message about an order that nobody placed holds no money, stock or parcel for long, in any mode."""

import asyncio
import uuid
from typing import Any

from tests.chaos.strangers import forge
from tests.e2e.stack import Stack

PATIENCE = 60.0


async def _until(stack: Stack, path: str, service: str, status: str) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            state = await stack.get(path, service, "root", "admin")
            if state and state["status"] == status:
                return state
            await asyncio.sleep(0.1)


async def _letters(stack: Stack, order_id: str) -> list[str]:
    """Wait for dead letters about that order; returns their ids."""
    async with asyncio.timeout(PATIENCE):
        while True:
            page = await stack.get("/attention?limit=200", "order", "root", "admin")
            ids = [item["id"] for item in page["items"] if item["kind"] == "dead-letter" and order_id in item["detail"]]
            if ids:
                return ids
            await asyncio.sleep(0.2)


async def test_what_is_held_for_an_order_that_nobody_placed_is_undone(stack: Stack) -> None:
    order_id = str(uuid.uuid4())
    await forge(stack.environment, stack.mode, order_id)
    await _until(stack, f"/payments/{order_id}", "payment", "VOIDED")
    assert await stack.get(f"/orders/{order_id}", customer="root", role="admin") is None
    shipment = await stack.get(f"/shipments/{order_id}", "shipping", "root", "admin")
    assert shipment is None or (await _until(stack, f"/shipments/{order_id}", "shipping", "CANCELLED"))
    for letter in await _letters(stack, order_id):
        headers = stack.headers("root", "admin")
        reason = {"reason": "a stranger's message, undone"}
        answer = await stack.insist("POST", f"/attention/{letter}/dismiss", headers, reason)
        assert answer.status_code == 200, answer.text

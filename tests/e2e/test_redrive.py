"""A message that cannot be handled becomes a dead letter, harms no other order, and succeeds once it is mended."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.e2e.shop import audit
from tests.e2e.stack import Stack, basket

WITHIN = 60.0
IN_THE_SUITE = ("kafka-choreography", "sns-sqs-orchestration", "pubsub-choreography", "temporal-orchestration")


def nightly(stack: str, **_: object) -> bool:
    return stack not in IN_THE_SUITE


@asynccontextmanager
async def refused_by_the_database(stack: Stack, customer: str) -> AsyncIterator[None]:
    """No dispatch of a parcel of this customer can be requested: a defect that only a migration mends."""
    refusal = f"CHECK (customer <> '{customer}' OR NOT (status = 'BOOKED' AND open)) NOT VALID"
    await stack.administer("shipping", f"ALTER TABLE shipments ADD CONSTRAINT defect {refusal}")
    try:
        yield
    finally:
        await stack.administer("shipping", "ALTER TABLE shipments DROP CONSTRAINT defect")


async def letters(stack: Stack, order_id: str) -> list[Any]:
    """The open dead letters of the shipping service about that order."""
    page = await stack.get("/attention?limit=200", "shipping", "root", "admin")
    return [item for item in page["items"] if item["kind"] == "dead-letter" and order_id in item["detail"]]


async def retry(stack: Stack, letter_id: str) -> Any:
    headers = stack.headers("root", "admin")
    return await stack.insist("POST", f"/attention/{letter_id}/retry", headers, service="shipping")


async def test_a_dead_letter_succeeds_once_its_cause_is_mended_and_others_never_wait(
    stack: Stack,
) -> None:
    customer = f"redrive-{uuid.uuid4().hex[:8]}"
    async with asyncio.timeout(2 * WITHIN):
        async with refused_by_the_database(stack, customer):
            placed = await stack.order(basket(), wait=None, customer=customer)
            order_id = placed.json()["order_id"]
            while not (dead := await letters(stack, order_id)):
                neighbour = await stack.order(basket())
                assert neighbour.json()["status"] == "COMPLETED", neighbour.text
            refused = await retry(stack, dead[0]["id"])
            assert refused.json()["retried"] is False, refused.text
            assert (await stack.get(f"/orders/{order_id}", customer=customer))["settled"] is False
        for letter in dead:
            mended = await retry(stack, letter["id"])
            assert mended.status_code == 404 or mended.json()["retried"] is True, mended.text
        assert (await stack.settled(order_id, customer=customer))["status"] == "COMPLETED"
        for letter in await letters(stack, order_id):  # of a nudge that was on its way when the cause was mended
            await retry(stack, letter["id"])
    await audit(stack)

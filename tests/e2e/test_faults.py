"""Processes die in mid-saga: everything settles by itself, and the books agree."""

import asyncio

import pytest

from sagakit.modes import MODES
from tests.e2e.shop import audit
from tests.e2e.stack import SERVICES, Stack, basket

BROKERS = {"temporal": "temporal", "kafka": "kafka", "sns_sqs": "ministack", "pubsub": "pubsub"}


async def _orders_during(stack: Stack, disturb: object, count: int = 24) -> None:
    """Place orders of every kind around a disturbance; every one settles."""
    bodies = [
        basket(),
        basket(sku="limited-edition"),
        basket(token="tok_declined"),
        basket(country="AQ"),
        basket(token="tok_flaky"),
    ]

    async def one(number: int) -> str:
        await asyncio.sleep(number * 0.08)
        answer = await stack.order(bodies[number % len(bodies)], wait=None)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["order_id"])

    async def later() -> None:
        await asyncio.sleep(0.7)
        assert callable(disturb)
        disturb()

    *order_ids, _ = await asyncio.gather(*(one(number) for number in range(count)), later())
    orders = await asyncio.gather(*(stack.settled(order_id, 90) for order_id in order_ids if order_id))
    assert len(orders) == count
    assert any(order["status"] == "COMPLETED" for order in orders)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_killed_in_mid_saga(stack: Stack, service: str) -> None:
    await _orders_during(stack, lambda: stack.kill(service))
    await stack.ready(service)


async def test_the_broker_is_killed_in_mid_saga(stack: Stack) -> None:
    await _orders_during(stack, lambda: stack.kill(BROKERS[MODES[stack.mode].substrate]))


@pytest.mark.parametrize("service", ["order", "payment"])
async def test_a_database_is_killed_in_mid_saga(stack: Stack, service: str) -> None:
    await _orders_during(stack, lambda: stack.kill(f"{service}-db"))


async def test_the_provider_is_killed_in_mid_saga(stack: Stack) -> None:
    await _orders_during(stack, lambda: stack.kill("provider"))


async def test_the_books_agree(stack: Stack) -> None:
    """Last of all: the auditor over everything that the tests of this mode have done."""
    await audit(stack)

"""Toxiproxy between each service and its dependencies: each fault of the network is felt, and no order is lost.

Kafka's clients connect to the addresses that the broker advertises: each service must get those of its own proxy.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from typing import Final

import pytest

from quartet_stack import api
from quartet_stack.errors import StackError
from tests.chaos.connections import Traffic
from tests.chaos.faults.network import FAULTS
from tests.chaos.stack import StackUnderTest
from tests.chaos.toxiproxy import Toxiproxy
from tests.e2e.conftest import FOLDER, OFFSET, SETTINGS
from tests.e2e.failpoints import DONE
from tests.e2e.shop import audit
from tests.e2e.stack import SERVICES, Stack, basket

ROUTES: Final = ("payment->payment-db", "order->broker")
SECONDS: Final = 5.0
LAID_DOWN: Final = "60"  # SAGA_DEADLINE: no good order may hide behind it


def suits(stack: str, **_: object) -> bool:
    """The modes whose broker needs a listener for each service."""
    return stack.startswith("kafka")


def nightly(stack: str, fault: str = "answers-lost") -> bool:
    """One style and the most ambiguous fault run each time, the others nightly."""
    return (stack, fault) != ("kafka-choreography", "answers-lost")


@pytest.fixture(scope="module")
def toxic_stack(stack: Stack) -> Iterator[StackUnderTest]:
    """The stack of this mode with proxies; without them again for the tests that follow."""
    stack_settings = {**SETTINGS, "TOXICS": "on", "SAGA_DEADLINE": LAID_DOWN}
    try:
        environment = api.up(stack.mode, stack_dir=FOLDER, port_offset=OFFSET, env=stack_settings)
    except StackError as error:
        if "Toxiproxy" not in str(error) or os.environ.get("CI"):
            raise
        pytest.skip(f"MISSING, so nothing of it was tested: Toxiproxy: {error}")
    yield StackUnderTest(stack.mode, FOLDER, environment, settings=stack_settings)
    api.up(stack.mode, stack_dir=FOLDER, port_offset=OFFSET, env=SETTINGS)


async def _buy(stack: StackUnderTest) -> None:
    """Place an order and assert that it completes, with each effect once."""
    answer = await stack.order(basket())
    order = await stack.settled(answer.json()["order_id"])
    assert order["status"] == "COMPLETED", order
    entries = await stack.get(f"/ledger?order_id={order['order_id']}", "provider", "root", "admin")
    assert sorted((one["operation"], one["outcome"]) for one in entries["items"]) == DONE


async def test_every_service_goes_through_its_own_proxies(toxic_stack: StackUnderTest) -> None:
    """Above all to the broker: Kafka advertises the address that its clients connect to."""
    async with Toxiproxy(toxic_stack.environment["TOXIPROXY_URL"]) as toxiproxy:
        proxies = await toxiproxy.proxies()
        ways = {name: Traffic((await toxiproxy.listens(name))[1]) for name in proxies}
    await _buy(toxic_stack)
    for way in ways.values():
        way.look()
    assert {f"{name}.kafka" for name in SERVICES} <= ways.keys()
    assert [name for name, way in ways.items() if not way.received or not way.answered] == []


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_is_felt_and_the_orders_under_way_complete(toxic_stack: StackUnderTest, fault: str) -> None:
    buying = [asyncio.create_task(_buy(toxic_stack)) for _ in range(3)]
    injections = await asyncio.gather(
        *(FAULTS[fault].inject(toxic_stack, route, SECONDS, random.Random(1)) for route in ROUTES)
    )
    await asyncio.gather(*buying)
    assert [one for one in injections if one.felt is not True] == []
    await audit(toxic_stack)

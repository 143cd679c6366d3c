"""Choreography over a real Temporal server: every outcome, and what breaks it.

`RECORD_HISTORIES=1 pytest tests/modes/test_temporal_choreography.py` writes the histories that the replay test keeps.
"""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from checkout.messages import OrderCancelled
from sagakit.modes.temporal import choreography
from sagakit.modes.temporal.connection import connect
from sagakit.modes.temporal.mode import WORKFLOW_THREADS
from sagakit.topology import CHOREOGRAPHY
from sagakit.work import Nudge
from tests.modes.servers import ProcessServer
from tests.modes.test_temporal_world import SERVICES, World, ended, keep

pytestmark = pytest.mark.carrier("temporal", CHOREOGRAPHY)


@pytest.fixture
async def world(server: ProcessServer) -> AsyncIterator[World]:
    async with World(server.address, "choreography") as world:
        yield world


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ({}, "COMPLETED"),
        ({"sku": "NONE"}, "OUT_OF_STOCK"),
        ({"token": "no_money"}, "PAYMENT_DECLINED"),
        ({"country": "XX"}, "SHIPPING_UNAVAILABLE"),
    ],
)
async def test_each_outcome_ends_every_workflow(world: World, how: dict[str, str], verdict: str) -> None:
    order_id = await world.place(**how)
    assert await world.settled(order_id) == verdict
    for name in SERVICES:
        assert await ended(world, f"{name}/{order_id}") == "done"
        await keep(world, f"{name}/{order_id}", f"choreography-{name}-{verdict.lower()}")


async def test_many_orders_at_once(world: World) -> None:
    ways: tuple[dict[str, str], ...] = ({}, {}, {"sku": "NONE"}, {"token": "no_money"}, {"country": "XX"})
    orders = await asyncio.gather(*(world.place(**ways[number % 5]) for number in range(40)))
    for number, order_id in enumerate(orders):
        assert (await world.settled(order_id) == "COMPLETED") == (number % 5 < 2)


async def test_a_burst_of_workflow_tasks_starts_no_threads(world: World) -> None:
    await asyncio.gather(*(world.settled(order_id) for order_id in [await world.place() for _ in range(15)]))
    names = [thread.name for thread in threading.enumerate() if "temporal" in thread.name]
    assert 0 < len(names) <= WORKFLOW_THREADS * len(SERVICES), names


async def test_the_customers_cancel_does_not_wait_for_a_hold_in_flight(world: World) -> None:
    world.outside.silent.add("authorize")
    order_id = await world.place()
    await world.until(lambda: order_id in world.stores["payment"].states)
    assert await world.cancel(order_id) == OrderCancelled(order_id, "CUSTOMER_REQUESTED")
    await world.until(lambda: world.order(order_id).shipment_settled and world.order(order_id).stock_settled)
    assert not world.order(order_id).payment_settled
    world.outside.silent.clear()
    assert await world.settled(order_id) == "CUSTOMER_REQUESTED"
    assert f"{order_id}/void" in world.outside.calls


async def test_an_idle_workflow_ends_and_the_next_event_starts_it_again(
    server: ProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choreography, "IDLE", 0.5)
    async with World(server.address, "choreography") as world:
        world.outside.silent.add("book")
        order_id = await world.place()
        await world.until(lambda: order_id in world.stores["shipping"].states)
        for name in ("inventory", "payment", "shipping"):
            assert await ended(world, f"{name}/{order_id}") == "idle"
        world.outside.silent.clear()
        assert await world.settled(order_id) == "COMPLETED"
        for name in SERVICES:
            assert await ended(world, f"{name}/{order_id}") == "done"


async def test_a_nudge_makes_up_for_a_step_that_was_lost(world: World) -> None:
    await world.stop("payment")
    order_id = await world.place()
    await world.until(lambda: order_id in world.stores["inventory"].states)
    await world.until(lambda: not world.stores["inventory"].outbox)
    await (await connect(world.settings)).get_workflow_handle(f"payment/{order_id}").terminate("lost")
    await world.start("payment")
    await asyncio.sleep(0.5)
    assert world.order(order_id).status == "PENDING"
    await world.services["order"].dispatcher.do_all([Nudge(order_id)])
    assert await world.settled(order_id) == "COMPLETED"


@pytest.mark.parametrize("name", list(SERVICES))
async def test_a_service_that_is_stopped_in_the_middle_goes_on_when_it_is_back(world: World, name: str) -> None:
    world.outside.silent.add("authorize")
    order_id = await world.place()
    await world.until(lambda: order_id in world.stores["payment"].states)
    async with asyncio.timeout(10):
        await world.stop(name)
    world.outside.silent.clear()
    await asyncio.sleep(0.5)
    await world.start(name)
    assert await world.settled(order_id) == "COMPLETED"


@pytest.mark.parametrize("name", list(SERVICES))
async def test_a_service_whose_database_is_away_goes_on_when_it_is_back(world: World, name: str) -> None:
    world.outside.silent.add("authorize")
    order_id = await world.place()
    await world.until(lambda: order_id in world.stores["payment"].states)
    world.stores[name].down = True
    world.outside.silent.clear()
    await asyncio.sleep(0.5)
    world.stores[name].down = False
    assert await world.settled(order_id) == "COMPLETED"


async def test_orders_survive_a_killed_server(world: World, server: ProcessServer) -> None:
    world.outside.slow["authorize"] = 0.3
    before = await asyncio.gather(*(world.place() for _ in range(20)))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(server.kill)
    during = [await world.place() for _ in range(5)]
    await asyncio.sleep(1)
    await asyncio.to_thread(server.start)
    for order_id in (*before, *during):
        assert await world.settled(order_id, seconds=40) == "COMPLETED"

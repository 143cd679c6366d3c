"""How soon orders go on when the way to Temporal was closed or is long. docs/faults.md tells what was measured."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from sagakit.modes.temporal.connection import connect
from sagakit.topology import ORCHESTRATION
from tests.modes.road import Road
from tests.modes.servers import ProcessServer
from tests.modes.test_temporal_world import World

pytestmark = pytest.mark.carrier("temporal", ORCHESTRATION)


@pytest.fixture
async def road(server: ProcessServer) -> AsyncIterator[Road]:
    async with Road(server.address) as road:
        yield road


async def test_workflow_tasks_without_a_worker_of_their_own_are_fetched_several_at_a_time(road: Road) -> None:
    """Each answer takes half a second: if one poll alone asked for first tasks, the last of 20 came after 10 s."""
    async with World(road.address) as world:
        road.delay = 0.5
        placed = time.monotonic()
        orders = await asyncio.gather(*(world.place() for _ in range(20)))
        await world.until(lambda: all(order_id in world.stores["inventory"].states for order_id in orders))
        assert time.monotonic() - placed < 7.5
        road.delay = 0.0
        for order_id in orders:
            assert await world.settled(order_id) == "COMPLETED"


async def test_a_call_that_is_refused_is_tried_again_twice_a_second(road: Road) -> None:
    """What waits for the call, such as a whole batch of the outbox, waits no longer than that after an outage."""
    async with World(road.address) as world:
        client = await connect(world.settings)
    await road.close()
    calling = asyncio.create_task(client.get_workflow_handle(str(uuid.uuid4())).signal("decided"))
    await world.until(lambda: bool(road.knocks) and time.monotonic() - road.knocks[0] > 5)
    calling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await calling
    assert max(later - earlier for earlier, later in pairwise(road.knocks)) < 1


async def test_an_order_goes_on_within_seconds_after_an_outage(road: Road) -> None:
    """By themselves the SDK's polls, which fail all along, come back about as long after an outage as it lasted."""
    async with World(road.address) as world:
        modes = [service.mode for service in world.services.values()]
        asking = asyncio.create_task(_ask(modes))
        await world.until(lambda: world.services["order"].connected)
        assert await world.settled(await world.place()) == "COMPLETED"
        await road.close()
        await world.until(lambda: bool(road.knocks) and time.monotonic() - road.knocks[0] > 7)
        road.open()
        opened = time.monotonic()
        assert await world.settled(await world.place()) == "COMPLETED"
        asking.cancel()
        assert time.monotonic() - opened < 3.5


async def _ask(modes: list[object]) -> None:
    """As `Dependencies` does: each second, for two seconds at most."""
    while True:
        for mode in modes:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await mode.probe()  # type: ignore[attr-defined]
        await asyncio.sleep(1)

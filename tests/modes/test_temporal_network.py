"""How soon orders go on when connections to Temporal were refused or are slow. Measurements are in docs/faults.md."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest

from sagakit.modes.temporal.connection import connect
from sagakit.topology import ORCHESTRATION
from tests.modes.proxy import TcpProxy
from tests.modes.servers import ProcessServer
from tests.modes.test_temporal_world import World

pytestmark = pytest.mark.carrier("temporal", ORCHESTRATION)


@pytest.fixture
async def proxy(server: ProcessServer) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(server.address) as proxy:
        yield proxy


async def test_workflow_tasks_without_a_worker_of_their_own_are_fetched_several_at_a_time(proxy: TcpProxy) -> None:
    """Each answer takes half a second: if a single poll asked for first tasks, the last of 20 would come after 10 s."""
    async with World(proxy.address) as world:
        proxy.delay = 0.5
        placed = time.monotonic()
        orders = await asyncio.gather(*(world.place() for _ in range(20)))
        await world.until(lambda: all(order_id in world.stores["inventory"].states for order_id in orders))
        assert time.monotonic() - placed < 7.5
        proxy.delay = 0.0
        for order_id in orders:
            assert await world.settled(order_id) == "COMPLETED"


async def test_a_call_that_is_refused_is_tried_again_twice_a_second(proxy: TcpProxy) -> None:
    """So whatever waits for the call, such as a batch of the outbox, waits no longer than that after an outage."""
    async with World(proxy.address) as world:
        client = await connect(world.settings)
    await proxy.close()
    calling = asyncio.create_task(client.get_workflow_handle(str(uuid.uuid4())).signal("decided"))
    await world.until(lambda: bool(proxy.refused) and time.monotonic() - proxy.refused[0] > 5)
    calling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await calling
    assert max(later - earlier for earlier, later in pairwise(proxy.refused)) < 1


async def test_an_order_goes_on_within_seconds_after_an_outage(proxy: TcpProxy) -> None:
    """By themselves the SDK's polls, which fail during an outage, resume about as long after it as it lasted."""
    async with World(proxy.address) as world:
        modes = [service.mode for service in world.services.values()]
        probing = asyncio.create_task(_probe(modes))
        await world.until(lambda: world.services["order"].connected)
        assert await world.settled(await world.place()) == "COMPLETED"
        await proxy.close()
        await world.until(lambda: bool(proxy.refused) and time.monotonic() - proxy.refused[0] > 7)
        proxy.open()
        opened = time.monotonic()
        assert await world.settled(await world.place()) == "COMPLETED"
        probing.cancel()
        assert time.monotonic() - opened < 3.5


async def _probe(modes: Sequence[object]) -> None:
    """Probe as `Dependencies` does: each second, for two seconds at most."""
    while True:
        for mode in modes:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await mode.probe()  # type: ignore[attr-defined]
        await asyncio.sleep(1)

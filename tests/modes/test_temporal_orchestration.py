"""Orchestration over a real Temporal server: every outcome, and what breaks it.

`RECORD_HISTORIES=1 pytest tests/modes/test_temporal_orchestration.py` writes the histories that the replay test keeps.
"""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from checkout.messages import PUBLIC, OrderCancelled, OrderPlaced
from sagakit.engine.dependencies import TIMEOUT
from sagakit.envelope import Envelope, encode
from sagakit.modes.temporal.activities import HEARTBEAT_TIMEOUT
from sagakit.modes.temporal.connection import connect
from sagakit.ports import OutboxRow, Probed
from sagakit.topology import ORCHESTRATION
from sagakit.work import Nudge
from tests.modes.servers import ProcessServer
from tests.modes.test_temporal_world import SERVICES, World, ended, keep

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.carrier("temporal", ORCHESTRATION)


@pytest.fixture
async def world(server: ProcessServer) -> AsyncIterator[World]:
    async with World(server.address) as world:
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
async def test_each_outcome(world: World, how: dict[str, str], verdict: str) -> None:
    order_id = await world.place(**how)
    assert await world.settled(order_id) == verdict
    assert await ended(world, order_id) == ("OrderConfirmed" if verdict == "COMPLETED" else "OrderCancelled")
    await keep(world, order_id, f"orchestration-{verdict.lower()}")
    outbox = world.stores["order"].outbox
    await world.until(lambda: not any(row.channel.startswith("temporal") for row, _ in outbox.values()))


async def test_the_first_workflow_task_comes_with_the_answer_to_the_start(world: World) -> None:
    await world.settled(await world.place())  # the worker is there then
    order_id = await world.place()
    await world.settled(order_id)
    history = await (await connect(world.settings)).get_workflow_handle(order_id).fetch_history()
    assert history.events[0].workflow_execution_started_event_attributes.eager_execution_accepted


async def test_many_orders_at_once(world: World) -> None:
    ways: tuple[dict[str, str], ...] = ({}, {}, {"sku": "NONE"}, {"token": "no_money"}, {"country": "XX"})
    orders = await asyncio.gather(*(world.place(**ways[number % 5]) for number in range(60)))
    for number, order_id in enumerate(orders):
        assert (await world.settled(order_id) == "COMPLETED") == (number % 5 < 2)


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
    await keep(world, order_id, "orchestration-customer_requested")


async def test_an_order_is_cancelled_at_its_deadline(server: ProcessServer) -> None:
    async with World(server.address, saga_deadline=1.5) as world:
        world.outside.silent.add("book")
        order_id = await world.place()
        await world.until(lambda: world.order(order_id).status == "CANCELLED", seconds=5)
        world.outside.silent.clear()
        assert await world.settled(order_id) == "TIMED_OUT"
        await keep(world, order_id, "orchestration-timed_out")


async def test_a_customers_cancel_right_after_the_order_wins_or_loses_but_never_both(world: World) -> None:
    for pause in (0, 0.01, 0.02, 0.04, 0.06, 0.08):
        order_id = await world.place()
        await asyncio.sleep(pause)
        answer = await world.cancel(order_id)
        assert (await world.settled(order_id) == "COMPLETED") == (not isinstance(answer, OrderCancelled))


async def test_a_start_that_is_published_twice_changes_nothing(world: World) -> None:
    order_id = await world.place()
    assert await world.settled(order_id) == "COMPLETED"
    await ended(world, order_id)
    placed = world.stores["order"].events[f"{order_id}/OrderPlaced"]
    assert isinstance(placed, OrderPlaced)
    row = OutboxRow(
        f"{order_id}/OrderPlaced", "temporal.start", order_id, "OrderPlaced", encode(Envelope(placed, "order"), PUBLIC)
    )
    await world.services["order"].mode.publish([row, row])
    description = await (await connect(world.settings)).get_workflow_handle(order_id).describe()
    assert description.status == WorkflowExecutionStatus.COMPLETED


async def test_a_probe_tells_whether_the_server_answers(world: World, server: ProcessServer) -> None:
    mode = world.services["order"].mode
    assert isinstance(mode, Probed)
    await world.until(lambda: world.services["order"].connected)
    await mode.probe()
    server.freeze()
    try:
        with pytest.raises(Exception):  # noqa: B017, PT011 - any: what does not answer is away
            async with asyncio.timeout(TIMEOUT):
                await mode.probe()
    finally:
        server.thaw()
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(RPCError):
                await mode.probe()
                return


@pytest.mark.parametrize("silent", ["authorize", "capture"])
async def test_a_lost_workflow_is_started_again_at_what_the_row_says(world: World, silent: str) -> None:
    world.outside.silent.add(silent)
    order_id = await world.place()
    status = "PENDING" if silent == "authorize" else "CONFIRMED"
    await world.until(lambda: world.order(order_id).status == status)
    await world.until(lambda: order_id in world.stores["payment"].states)
    await (await connect(world.settings)).get_workflow_handle(order_id).terminate("lost")
    world.outside.silent.clear()
    await asyncio.sleep(0.3)
    assert not world.order(order_id).settled
    await world.services["order"].dispatcher.do_all([Nudge(order_id)])
    assert await world.settled(order_id) == "COMPLETED"


async def test_a_cancelled_order_without_a_workflow_is_undone_when_it_is_nudged(world: World) -> None:
    world.outside.silent.add("authorize")
    order_id = await world.place()
    await world.until(lambda: order_id in world.stores["payment"].states)
    await (await connect(world.settings)).get_workflow_handle(order_id).terminate("lost")
    world.outside.silent.clear()
    await world.cancel(order_id)
    assert await world.settled(order_id) == "CUSTOMER_REQUESTED"


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
    await asyncio.sleep(1)
    world.stores[name].down = False
    assert await world.settled(order_id) == "COMPLETED"


async def test_a_killed_worker_is_noticed_in_seconds(world: World) -> None:
    await world.stop("payment")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.modes.test_temporal_orchestration", world.settings.temporal_address),
        stdout=PIPE,
        cwd=REPOSITORY,
    )
    assert child.stdout is not None
    try:
        order_id = await world.place()
        assert await child.stdout.readline() == b"holding\n"
    finally:
        child.kill()
        await child.wait()
    await world.start("payment")
    assert await world.settled(order_id, seconds=12) == "COMPLETED"


async def test_a_worker_that_waits_sends_heartbeats_well_within_their_timeout(
    world: World,
) -> None:
    world.outside.silent.add("authorize")
    order_id = await world.place()
    await world.until(lambda: order_id in world.stores["payment"].states)
    handle = (await connect(world.settings)).get_workflow_handle(order_id)
    beats: dict[float, None] = {}
    async with asyncio.timeout(20):
        while len(beats) < 4:
            for activity in (await handle.describe()).raw_description.pending_activities:
                if activity.HasField("last_heartbeat_time"):
                    beats[activity.last_heartbeat_time.ToDatetime().timestamp()] = None
            await asyncio.sleep(0.1)
    world.outside.silent.clear()
    assert sorted(later - earlier for earlier, later in pairwise(beats))[1] < HEARTBEAT_TIMEOUT.total_seconds() / 2
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


async def test_services_wait_for_the_server(server: ProcessServer) -> None:
    await asyncio.to_thread(server.stop)
    async with World(server.address) as world:
        order_id = await world.place()
        await asyncio.sleep(1)
        assert not world.services["order"].connected
        await asyncio.to_thread(server.start)
        assert await world.settled(order_id, seconds=30) == "COMPLETED"


async def _hold_for_ever(address: str) -> None:
    """A payment service that is asked for an authorization and never answers."""
    world = World(address)
    world.outside.silent.add("authorize")
    await world.start("payment")
    await world.until(lambda: bool(world.stores["payment"].states), seconds=30)
    await asyncio.sleep(1.5)
    print("holding", flush=True)
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(_hold_for_ever(sys.argv[1]))

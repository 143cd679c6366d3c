"""What Temporal delivers and nobody can read, in both styles, becomes a dead letter; everything else goes on."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import msgspec
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue

from checkout.messages import PUBLIC, AuthorizePayment, ConfirmOrder
from sagakit.envelope import decode
from sagakit.message import Command
from sagakit.modes.temporal.connection import connect
from sagakit.modes.temporal.wire import WorkflowInput, payload_of
from tests.modes.servers import running
from tests.modes.test_temporal_world import World, ended

pytestmark = pytest.mark.carrier("temporal")

STYLES: Final = ("orchestration", "choreography")
KIND: Final = {"orchestration": "Saga", "choreography": "Reactions"}
SIGNAL: Final = {"orchestration": "decided", "choreography": "heard"}
NESTED: Final = "[" * 1000 + "]" * 1000


def message_json(kind: str, data: str) -> bytes:
    return json.dumps({"type": kind, "data": "DATA"}).replace('"DATA"', data).encode()


def raw(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """One for each style: what the other began, none can finish."""
    with running("temporal") as one, running("temporal") as another:
        yield dict(zip(STYLES, (one.address, another.address), strict=True))


@pytest.fixture(params=STYLES)
async def world(servers: dict[str, str], request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with World(servers[request.param], request.param) as world:
        yield world


@pytest.fixture
async def orchestrated(servers: dict[str, str]) -> AsyncIterator[World]:
    async with World(servers["orchestration"]) as world:
        yield world


def workflow_id(world: World, order_id: str) -> str:
    return order_id if world.style == "orchestration" else f"order/{order_id}"


def unreadable(order_id: str, event: str) -> dict[bytes, RawValue]:
    bodies = [
        message_json("Nonsense", json.dumps({"order_id": order_id})),
        message_json(event, json.dumps({"order_id": 5, "of": order_id})),
        message_json(event, f'{{"order_id": {NESTED}}}'),
        message_json(event, json.dumps({"order_id": "another", "reason": "CUSTOMER_REQUESTED", "of": order_id})),
        b"\xff{ " + order_id.encode(),
        b"{ " + order_id.encode(),
        json.dumps([order_id]).encode(),
        json.dumps({"of": order_id}).encode(),
    ]
    values = {body: raw(body) for body in bodies}
    encrypted = b"? " + order_id.encode()
    return values | {encrypted: raw(encrypted, b"binary/encrypted")}


async def hold(world: World) -> str:
    """A new order, of which it is known that its workflow runs, and that it cannot end."""
    world.outside.silent.add("authorize")
    order_id = await world.place()
    await world.until(lambda: order_id in world.stores["payment"].states)
    return order_id


async def begin(world: World, client: Client, order_id: str) -> None:
    """In choreography the owner's workflow is not running yet: it has received no signal."""
    if world.style == "choreography":
        start = {"note": None, "retry_initial": 0.1, "retry_max": 5.0}
        await client.start_workflow("Reactions", start, id=f"order/{order_id}", task_queue="quartet-order")


@pytest.mark.parametrize("cancelled", [False, True])
async def test_signals_that_cannot_be_read_are_written_down_and_the_order_ends(world: World, cancelled: bool) -> None:
    client = await connect(world.settings)
    order_id = await hold(world)
    await begin(world, client, order_id)
    handle = client.get_workflow_handle(workflow_id(world, order_id))
    event = "OrderCancelled" if world.style == "orchestration" else "StockReleased"
    bad = unreadable(order_id, event)
    for value in bad.values():
        await handle.signal(SIGNAL[world.style], value)
    unknown = json.dumps({"for": order_id, "by": "name"}).encode()
    await handle.signal("whatever", raw(unknown))
    two = json.dumps({"of": order_id, "two": 2}).encode()
    await handle.signal(SIGNAL[world.style], args=[raw(two), raw(two)])
    if cancelled:
        await world.cancel(order_id)
    world.outside.silent.clear()
    assert await world.settled(order_id) == ("CUSTOMER_REQUESTED" if cancelled else "COMPLETED")
    await ended(world, workflow_id(world, order_id))
    kept = world.letters["order"].kept
    assert {*bad, unknown, two + b"\n" + two} == kept.keys()
    assert all(f"signal {SIGNAL[world.style]}: " in kept[body] for body in bad), kept
    assert kept[unknown] == "signal whatever: unknown"
    assert not any(letters.kept for name, letters in world.letters.items() if name != "order")


async def test_starts_that_cannot_be_read_are_written_down_and_end(world: World) -> None:
    client = await connect(world.settings)

    async def start(kind: str, argument: RawValue | None, key: str) -> str:
        arguments = [] if argument is None else [argument]
        handle = await client.start_workflow(kind, args=arguments, id=key, task_queue="quartet-order")
        async with asyncio.timeout(20):
            return str(await handle.result())

    async def begun(body: bytes, kind: str = KIND[world.style], key: str | None = None) -> tuple[bytes, str]:
        return body, await start(kind, raw(body), key or workflow_id(world, str(uuid.uuid4())))

    def beginning(message: bytes, **changes: Any) -> bytes:
        start = {"note": None, "retry_initial": 0.1, "retry_max": 5.0, "deadline": 20.0} | changes
        return json.dumps({**start, "note": "NOTE"}).replace('"NOTE"', message.decode()).encode()

    order_id = str(uuid.uuid4())
    bodies = [
        begun(b"\xff{"),
        begun(b'{"nothing": 1}'),
        begun(beginning(message_json("Nonsense", "{}"))),
        begun(beginning(message_json("OrderPlaced", '{"order_id": 5}'))),
        begun(beginning(message_json("OrderPlaced", f'{{"order_id": {NESTED}}}'))),
        begun(beginning(b"null", retry_initial=-1.0)),
        begun(beginning(b"null", retry_max=1e30)),
        begun(beginning(b"null", of=1), "Nonsense"),
    ]
    if world.style == "choreography":
        bodies += [begun(beginning(b"null", of=2), key=f"nobody/{order_id}"), begun(beginning(b"null", of=3), key="x")]
    neighbour = await world.place()
    answers = await asyncio.gather(*bodies)
    assert all(answer == "unreadable" for _, answer in answers), answers
    assert await start(KIND[world.style], None, workflow_id(world, str(uuid.uuid4()))) == "unreadable"
    assert await world.settled(neighbour) == "COMPLETED"
    assert world.letters["order"].kept.keys() == {b"", *(body for body, _ in answers)}


async def restarted(world: World, client: Client, order_id: str, argument: bytes, *signal: RawValue) -> str:
    """The order's workflow is lost and started again with that argument; what it ends with."""
    await client.get_workflow_handle(order_id).terminate("lost")
    handle = await client.start_workflow(
        "Saga",
        raw(argument),
        id=order_id,
        task_queue="quartet-order",
        start_signal="decided" if signal else None,
        start_signal_args=signal,
    )
    world.outside.silent.clear()
    async with asyncio.timeout(20):
        return str(await handle.result())


async def test_a_decision_settles_an_order_whose_start_could_not_be_read(orchestrated: World) -> None:
    world = orchestrated
    client, order_id = await connect(world.settings), await hold(world)
    decision = message_json("OrderCancelled", json.dumps({"order_id": order_id, "reason": "CUSTOMER_REQUESTED"}))
    await world.stop("payment")
    await world.cancel(order_id)
    await world.until(lambda: not any(row.channel == "temporal.decided" for row, _ in rows(world)))
    answer = asyncio.create_task(restarted(world, client, order_id, b"nothing", raw(decision)))
    await world.until(lambda: bool(world.letters["order"].kept))
    await world.start("payment")
    assert await answer == "OrderCancelled"
    assert await world.settled(order_id) == "CUSTOMER_REQUESTED"
    assert list(world.letters["order"].kept) == [b"nothing"]


def rows(world: World) -> list[Any]:
    return list(world.stores["order"].outbox.values())


async def test_a_start_with_a_nonsensical_deadline_is_held_to_a_bound(orchestrated: World) -> None:
    world = orchestrated
    client, order_id = await connect(world.settings), await hold(world)
    placed = world.stores["order"].events[f"{order_id}/OrderPlaced"]
    start = WorkflowInput(payload_of(PUBLIC, placed, None, None), 0.1, 5.0, 1e300)
    assert await restarted(world, client, order_id, msgspec.json.encode(start)) == "OrderConfirmed"
    assert await world.settled(order_id) == "COMPLETED"


FAILING: Final = [("payment", "AuthorizePayment"), ("payment", "CapturePayment"), ("order", "RecordStockSettled")]


@pytest.mark.parametrize(("service", "command"), FAILING)
@pytest.mark.parametrize("style", STYLES)
async def test_a_command_that_keeps_failing_is_written_down_once_and_goes_on_when_it_can(
    servers: dict[str, str], style: str, service: str, command: str
) -> None:
    async with World(servers[style], style, delivery_attempts=3, retry_max=0.2) as world:
        world.stores[service].rejects.add(command)
        order_id = await world.place()

        def letters() -> list[tuple[bytes, str]]:
            return [(body, why) for body, why in world.letters[service].kept.items() if order_id.encode() in body]

        await world.until(lambda: bool(letters()))
        ((body, cause),) = letters()
        parcel = decode(body, PUBLIC)
        assert parcel.id == f"{order_id}/{command}"
        assert parcel.cause
        assert "3 attempts" in cause
        engine = world.services[service]
        assert engine.redeliver is not None
        refused = await engine.redeliver(body)
        assert refused is not None
        assert "is refused" in refused
        world.stores[service].rejects.clear()
        assert await engine.redeliver(body) is None
        assert await world.settled(order_id) == "COMPLETED"
        assert len(letters()) == 1
        assert world.letters[service].times[body] == 1


@pytest.mark.parametrize("service", ["payment", "order"])
async def test_a_history_shows_no_words_of_an_error_that_were_not_chosen(orchestrated: World, service: str) -> None:
    """In an activity on a participant's queue, and in a local one of the workflow's own worker."""
    world, failed = orchestrated, asyncio.Event()
    engine = world.services[service]
    owner, name = (engine.dispatcher, "do") if service == "order" else (engine, "conclude")
    given = getattr(owner, name)

    async def failing(command: Command, *rest: Any) -> Any:
        if isinstance(command, AuthorizePayment | ConfirmOrder) and not failed.is_set():
            failed.set()
            raise ValueError("tok_of_somebody") from LookupError("1 Main St, at postgres://u:p@10.0.0.7")
        return await given(command, *rest)

    setattr(owner, name, failing)
    try:
        order_id = await world.place()
        assert await world.settled(order_id) == "COMPLETED"
        await ended(world, order_id)
    finally:
        setattr(owner, name, given)
    assert failed.is_set()
    client = await connect(world.settings)
    history = (await client.get_workflow_handle(order_id).fetch_history()).to_json()
    assert not any(word in history for word in ("tok_of_somebody", "1 Main St, at", "postgres://"))
    if service == "payment":  # of a local activity only what came of it is kept
        assert "ValueError in " in history


async def test_a_redelivery_tells_why_it_failed(world: World) -> None:
    order = world.services["order"]
    await world.until(lambda: order.connected)
    redeliver = order.redeliver
    assert redeliver is not None
    for body in (b"nothing", message_json("Nonsense", "{}"), message_json("OrderCancelled", '{"order_id": 5}')):
        assert "not a CloudEvent" in str(await redeliver(body)), body

"""Poison: messages of every kind that no consumer can handle, and how to send them in each mode.

The senders use the brokers' own clients and the names of the transports' topologies, not the transports themselves.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from typing import Any, Final

from checkout.topology import topology_of
from sagakit.modes import MODES
from sagakit.topology import ORCHESTRATION, Subscription

NESTED: Final = 1000
OVERSIZED: Final = 200_000  # bytes, below what each broker accepts
TOPICS_WITHIN: Final = 10.0  # seconds
LOOK_EVERY: Final = 0.1  # seconds
Send = Callable[[Mapping[str, str], str, Sequence[bytes], float], Awaitable[None]]


def _event(name: str, data: str, subject: str, version: str = ".v1", identity: str = "") -> bytes:
    head = {
        "specversion": "1.0",
        "id": identity or f"{subject}/{name}",
        "source": "/quartet/stranger",
        "type": f"quartet.{name}{version}",
        "subject": subject,
    }
    return (json.dumps(head)[:-1] + f', "data": {data}}}').encode()


def bodies() -> list[bytes]:
    """One message of each kind, with new ids. No service can read any of them, or do what it says."""
    one = f"stranger-{uuid.uuid4()}"
    order = json.dumps({"order_id": one})
    return [
        b"{not json",
        b"\xff\xfe\x00broken",
        b"",
        b"null",
        _event("StockReserved", "[" * NESTED + "]" * NESTED, one),
        b"[" * NESTED + b"]" * NESTED,
        _event("NeverHeardOf", order, one),
        _event("OrderConfirmed", order, one, version=".v99"),
        _event("OrderPlaced", order, one),
        _event("PaymentAuthorized", json.dumps({"order_id": one, "checkout": {"lines": "none"}}), one),
        _event("OrderCancelled", json.dumps({"order_id": one, "reason": ["a", "list"]}), one),
        _event("OrderConfirmed", order, one, identity=f"{one}/OrderCancelled"),
        _event("OrderCancelled", json.dumps({"order_id": 7, "reason": None}), one),
        _event("OrderPlaced", json.dumps({"order_id": one, "filler": "x" * OVERSIZED}), one),
    ]


def is_poison(body: bytes) -> bool:
    """Whether the body of a dead letter was one of `bodies`, however its carrier has changed it."""
    marks = (b"stranger", b"{not json", b"broken", b"[" * NESTED, b"NeverHeardOf", b"Unheard", b"unheard")
    nothing = body.strip() in (b"", b"null") or b'"data":""' in body or b'"data":"6e756c6c"' in body
    return nothing or any(mark in body or mark.hex().encode() in body for mark in marks)


def messages(how_many: int) -> list[bytes]:
    """That many messages, of every kind in turn."""
    return list(islice(cycle(bodies()), how_many))


async def poison(stack: Mapping[str, str], mode: str, how_many: int, seconds: float) -> None:
    """Send that many messages within that many seconds to all channels and consumers of the mode."""
    await _SENDERS[MODES[mode].substrate](stack, MODES[mode].style, messages(how_many), seconds / how_many)


def _subscriptions(style: str) -> tuple[Subscription, ...]:
    return topology_of(style).subscriptions


async def _kafka(stack: Mapping[str, str], style: str, poisons: Sequence[bytes], pause: float) -> None:
    channels = sorted({one.channel for one in _subscriptions(style)})
    await to_kafka(stack, list(zip(cycle(channels), poisons, strict=False)), pause)


async def to_kafka(stack: Mapping[str, str], messages: Sequence[tuple[str, bytes]], pause: float = 0.0) -> None:
    """Send each body to the topic of its channel; `pause`: seconds after each."""
    from aiokafka import AIOKafkaProducer

    from sagakit.modes.kafka.topology import topic_of

    producer = AIOKafkaProducer(bootstrap_servers=stack["KAFKA_BOOTSTRAP"])
    await producer.start()
    try:
        for channel, body in messages:
            await producer.send_and_wait(topic_of(channel), body, key=uuid.uuid4().hex.encode())
            await asyncio.sleep(pause)
    finally:
        await producer.stop()


async def _sns_sqs(stack: Mapping[str, str], style: str, poisons: Sequence[bytes], pause: float) -> None:
    consumers = sorted({one.consumer for one in _subscriptions(style)})
    await to_sqs(stack, style, list(zip(cycle(consumers), poisons, strict=False)), pause)


async def to_sqs(
    stack: Mapping[str, str], style: str, messages: Sequence[tuple[str, bytes]], pause: float = 0.0
) -> None:
    """Send each body to the queue of its consumer, as text; `pause`: seconds after each."""
    import aioboto3

    session = aioboto3.Session("any", "any", region_name=stack.get("AWS_DEFAULT_REGION", "eu-west-1"))
    async with session.client("sqs", endpoint_url=stack["AWS_ENDPOINT_URL"]) as sqs:
        for consumer, body in messages:
            url = (await sqs.get_queue_url(QueueName=f"quartet-{style}-{consumer}"))["QueueUrl"]
            text = body.decode(errors="replace").replace("\x00", " ") or " "
            await sqs.send_message(QueueUrl=url, MessageBody=text)
            await asyncio.sleep(pause)


async def _pubsub(stack: Mapping[str, str], style: str, poisons: Sequence[bytes], pause: float) -> None:
    channels = sorted({one.channel for one in _subscriptions(style)})
    await to_pubsub(stack, list(zip(cycle(channels), poisons, strict=False)), pause)


async def to_pubsub(stack: Mapping[str, str], messages: Sequence[tuple[str, bytes]], pause: float = 0.0) -> None:
    """Send each body to the topic of its channel; `pause`: seconds after each."""
    from sagakit.modes.pubsub.client import Client
    from sagakit.modes.pubsub.topology import Names, topic_of
    from sagakit.modes.pubsub.wire import new_message

    client = Client(stack["PUBSUB_EMULATOR_HOST"])
    await client.open()
    names = Names(stack.get("PUBSUB_PROJECT", "quartet"))
    try:
        for channel, body in messages:
            message = new_message(data=body, attributes={} if body else {"empty": "yes"})
            await _publish(client, names.topic(topic_of(channel)), message)
            await asyncio.sleep(pause)
    finally:
        await client.close()


async def _publish(client: Any, topic: str, message: Any) -> None:
    """Publish once the topic is there: an emulator that was killed has none until the services create them again."""
    from google.api_core.exceptions import NotFound

    async with asyncio.timeout(TOPICS_WITHIN):
        while True:
            with suppress(NotFound):
                return await client.publish(topic, [message])  # type: ignore[no-any-return]
            await asyncio.sleep(LOOK_EVERY)


async def _temporal(stack: Mapping[str, str], style: str, poisons: Sequence[bytes], pause: float) -> None:
    """Start and signal workflows with any argument: a payload of a known type, bytes, or under unknown names."""
    from temporalio.client import Client
    from temporalio.common import RawValue, WorkflowIDReusePolicy
    from temporalio.converter import DefaultPayloadConverter

    client = await Client.connect(stack["TEMPORAL_ADDRESS"], namespace=stack.get("TEMPORAL_NAMESPACE", "default"))
    payload = DefaultPayloadConverter().to_payloads
    orchestrated = style == ORCHESTRATION
    workflow, signal = ("Saga", "decided") if orchestrated else ("Reactions", "heard")
    services = ["order"] if orchestrated else ["order", "payment", "inventory", "shipping"]
    for number, (service, body) in enumerate(zip(cycle(services), poisons, strict=False)):
        argument = RawValue(payload([body])[0])
        note = RawValue(payload([{"type": "NeverHeardOf" if number % 2 else "OrderConfirmed", "data": body.hex()}])[0])
        identity = uuid.uuid4().hex if orchestrated else f"{service}/{uuid.uuid4().hex}"
        start: dict[str, Any] = {"id": identity, "task_queue": f"quartet-{service}", "rpc_timeout": None}
        start["id_reuse_policy"] = WorkflowIDReusePolicy.ALLOW_DUPLICATE
        fine = {"note": None, "retry_initial": 0.1, "retry_max": 5.0, "deadline": None}
        kind = number % 5
        if kind == 0:  # a start that cannot be read
            await client.start_workflow(workflow, argument, **start)
        elif kind == 1:  # a signal that is no note
            await client.start_workflow(workflow, fine, start_signal=signal, start_signal_args=[argument], **start)
        elif kind == 2:  # a note that nobody knows
            await client.start_workflow(workflow, fine, start_signal=signal, start_signal_args=[note], **start)
        elif kind == 3:  # a signal of another name
            await client.start_workflow(workflow, fine, start_signal="unheard", start_signal_args=[note], **start)
        else:  # a workflow of another name
            await client.start_workflow("Unheard", argument, **start)
        await asyncio.sleep(pause)


_SENDERS: Final[Mapping[str, Send]] = {"kafka": _kafka, "sns_sqs": _sns_sqs, "pubsub": _pubsub, "temporal": _temporal}

"""`python -m loadtests.bench.floors.sns_sqs [SECONDS]`: what the emulator of SNS and SQS can carry at most.

The stack is up in a mode over SNS/SQS, has carried orders and is quiet (`make up MODE=sns-sqs`, `make load`). Messages
of the same kinds and sizes then go through topics and queues of the same wiring and other names: published, received
and deleted ten at a time, by a client that does nothing else, so that the emulator alone is the limit. Figures go to
standard output as JSON.
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any, Final

import aioboto3
import aiohttp
import msgspec
from yarl import URL

from loadtests.bench.floors.saturation import ALONE, PUBLISHERS, UnderWay, command, saturated
from loadtests.bench.floors.shape import Kind, apart, body, deliveries, hops, recorded, stream
from loadtests.bench.measure import Stopwatch
from loadtests.bench.record import Usage
from sagakit.modes.sns_sqs.topology import QueuePlan, dead_letters, ensure, plan, undelivered
from sagakit.settings import Settings

TEN: Final = 10
CONSUMERS: Final = 2  # calls at a time for each queue
IN_FLIGHT: Final = 1_000  # messages
REGION: Final = "eu-west-1"


@dataclass(frozen=True, slots=True)
class Figures:
    """What went through, in the orders and messages of one second; CPU of the emulator; one message alone."""

    orders: float
    messages: float
    calls: float
    emulator_cpu_ms_per_order: float
    emulator_cores: float
    client_cores: float
    message_alone_ms: float
    order_alone_ms: float


class Emulator:
    """Calls to the emulator with as little work for the caller as possible. `calls` counts them."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session, self._address = session, address
        self.calls = 0

    async def sns(self, form: bytes) -> None:
        """Call SNS."""
        await self._call("sns", form, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})

    async def sqs(self, action: str, **values: Any) -> dict[str, Any]:
        """Call SQS."""
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
        answer: dict[str, Any] = msgspec.json.decode(await self._call("sqs", msgspec.json.encode(values), headers))
        return answer

    async def _call(self, service: str, data: bytes, headers: dict[str, str]) -> bytes:
        self.calls += 1
        scope = f"Credential=emulator/20000101/{REGION}/{service}/aws4_request"
        headers["Authorization"] = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none"
        async with self._session.post(self._address, data=data, headers=headers) as answer:
            answer.raise_for_status()
            return await answer.read()


class Floor:
    """Publishers and consumers of one wiring."""

    def __init__(self, emulator: Emulator, plan_: QueuePlan, addresses: Any, kinds: list[Kind]) -> None:
        self._emulator, self._plan, self._addresses, self._kinds = emulator, plan_, addresses, kinds
        self._batches = self._tens()
        self._under_way = UnderWay(IN_FLIGHT)

    def _tens(self) -> Iterator[tuple[str, list[Kind]]]:
        """Batches of ten by the topic or queue that they go to."""
        waiting: defaultdict[str, list[Kind]] = defaultdict(list)
        for kind in stream(self._kinds):
            target = self._plan.targets[f"floor-{kind.channel}"]
            waiting[target].append(kind)
            if len(waiting[target]) == TEN:
                yield target, waiting.pop(target)

    async def publish(self) -> None:
        """Publish until cancelled, with at most IN_FLIGHT messages waiting to be received."""
        while True:
            await self._under_way.room()
            target, ten = next(self._batches)
            self._under_way.publish(sum(kind.consumers for kind in ten))
            await self.put(target, ten)

    async def put(self, target: str, ten: list[Kind]) -> None:
        """Publish a batch to a topic, or send it to a queue."""
        if target not in self._addresses.topics:
            entries = [
                {"Id": str(at), "MessageBody": body(kind).decode(), "MessageAttributes": {"type": _text(kind.type)}}
                for at, kind in enumerate(ten)
            ]
            await self._emulator.sqs("SendMessageBatch", QueueUrl=self._addresses.queues[target], Entries=entries)
            return
        await self._emulator.sns(_form(self._addresses.topics[target], tuple(ten)))

    async def consume(self, queue: str) -> None:
        """Receive and delete until cancelled."""
        while True:
            await self.take(queue)

    async def take(self, queue: str) -> None:
        """Receive up to ten messages, and delete them."""
        url = self._addresses.queues[queue]
        answer = await self._emulator.sqs(
            "ReceiveMessage",
            QueueUrl=url,
            MaxNumberOfMessages=TEN,
            WaitTimeSeconds=2,
            VisibilityTimeout=30,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            MessageAttributeNames=["encoding"],
        )
        if messages := answer.get("Messages"):
            entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
            await self._emulator.sqs("DeleteMessageBatch", QueueUrl=url, Entries=entries)
            self._under_way.receive(len(messages))

    async def alone(self) -> float:
        """Milliseconds from publishing one message to having received it, with nothing else under way."""
        kind, queue = next(
            (kind, queue.name)
            for kind in self._kinds
            for queue in self._plan.queues
            if kind.consumers == 1 and any(kind.type in types for types in queue.types.values())
        )
        target = self._plan.targets[f"floor-{kind.channel}"]
        durations = []
        for _ in range(ALONE):
            taking = asyncio.ensure_future(self.take(queue))
            await asyncio.sleep(0.02)  # the poll is to wait already, as it does in a quiet service
            before, began = self._under_way.received, time.perf_counter()
            await self.put(target, [kind])
            await taking
            durations.append(time.perf_counter() - began)
            assert self._under_way.received > before
        return median(durations) * 1000

    async def saturated(self, watch: Stopwatch, seconds: float) -> tuple[Usage, float, float, float]:
        """Publish and consume for that long: CPU of the stack and seconds of ours, messages received, calls made."""
        works = [self.publish() for _ in range(PUBLISHERS)]
        works += [self.consume(queue.name) for queue in self._plan.queues for _ in range(CONSUMERS)]
        used, (client, received, calls) = await saturated(
            works, watch, seconds, lambda: (time.process_time(), self._under_way.received, self._emulator.calls)
        )
        return used, client, received, calls


@lru_cache(maxsize=10_000)
def _form(topic: str, ten: tuple[Kind, ...]) -> bytes:
    form = {"Version": "2010-03-31", "Action": "PublishBatch", "TopicArn": topic}
    for at, kind in enumerate(ten, 1):
        entry = f"PublishBatchRequestEntries.member.{at}"
        attribute = f"{entry}.MessageAttributes.entry.1"
        form |= {f"{entry}.Id": str(at), f"{entry}.Message": body(kind).decode(), f"{attribute}.Name": "type"}
        form |= {f"{attribute}.Value.DataType": "String", f"{attribute}.Value.StringValue": kind.type}
    return URL.build(query=form).raw_query_string.encode()


def _text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


async def measured(stack: dict[str, str], seconds: float) -> Figures:
    """Measure the emulator of the stack with this environment."""
    topology, kinds = recorded(stack, "sns_sqs")
    plan_, address = plan(apart(topology)), stack["AWS_ENDPOINT_URL"]
    keys = {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator", "region_name": REGION}
    boto = aioboto3.Session(**keys)
    async with (
        boto.client("sqs", endpoint_url=address) as sqs,
        boto.client("sns", endpoint_url=address) as sns,
        aiohttp.ClientSession() as session,
    ):
        addresses = await ensure(sqs, sns, plan_, Settings.model_construct(sqs_visibility=30, delivery_attempts=5))
        emulator = Emulator(session, address)
        floor = Floor(emulator, plan_, addresses, kinds)
        try:
            alone = await floor.alone()
            used, client, received, calls = await floor.saturated(Stopwatch(stack["STACK_DIR"]), seconds)
        finally:
            for topic in addresses.topics.values():
                await sns.delete_topic(TopicArn=topic)
            for queue in plan_.queues:
                for name in (queue.name, dead_letters(queue.name), undelivered(queue.name)):
                    await sqs.delete_queue(QueueUrl=addresses.queues[name])
    orders = received / deliveries(kinds)
    return Figures(
        round(orders / used.seconds, 1),
        round(received / used.seconds),
        round(calls / used.seconds),
        round(used.cpu["ministack"] / orders, 2),
        round(used.cpu["ministack"] / used.seconds / 1000, 2),
        round(client / used.seconds, 2),
        round(alone, 1),
        round(alone * hops(topology), 1),
    )


if __name__ == "__main__":
    sys.exit(command(measured, sys.argv[1:]))

"""SNS and SQS keep the promises of every transport. They are the local emulator here.

The emulator writes its state when it is stopped, and only then: a kill loses messages and queues.
"""

from collections.abc import Iterator
from typing import Any
from unittest.mock import AsyncMock

import aioboto3
import pytest

from sagakit.modes.sns_sqs.topology import dead_letters
from sagakit.modes.sns_sqs.transport import SnsSqsTransport
from sagakit.modes.sns_sqs.wire import unpack
from sagakit.ports import Transport
from sagakit.topology import Topology
from tests.modes.broker_namespace import ATTEMPTS, BrokerNamespace
from tests.modes.conformance import TransportConformance, settings
from tests.modes.faults import BackstopConformance
from tests.modes.servers import ProcessServer, running

pytestmark = pytest.mark.carrier("sns_sqs")
VISIBILITY = settings().sqs_visibility


class TestSnsSqs(BackstopConformance, TransportConformance):
    survives = frozenset({"stop"})
    redelivery = 3.0

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[ProcessServer]:
        with running("sns_sqs") as server:
            yield server

    def connect(self, server: ProcessServer, consumer: str, topology: Topology) -> Transport:
        return SnsSqsTransport(settings(aws_endpoint_url=f"http://{server.address}"), consumer, topology)

    async def dead_letters(self, server: ProcessServer, consumer: str) -> list[tuple[bytes, str]]:
        session = aioboto3.Session("any", "any", region_name="eu-west-1")
        async with session.client("sqs", endpoint_url=f"http://{server.address}") as sqs:
            url = (await sqs.get_queue_url(QueueName=dead_letters(f"quartet-test-{consumer}")))["QueueUrl"]
            answer = await sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
            )
        return [(unpack(one), one["MessageAttributes"]["cause"]["StringValue"]) for one in answer.get("Messages", ())]

    async def deliver_too_often(self, server: ProcessServer, namespace: BrokerNamespace) -> None:
        session = aioboto3.Session("any", "any", region_name="eu-west-1")
        async with session.client("sqs", endpoint_url=f"http://{server.address}") as sqs:
            url = (await sqs.get_queue_url(QueueName=f"quartet-test-{namespace.alpha}"))["QueueUrl"]
            for _ in range(2 * ATTEMPTS):
                answer = await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2, VisibilityTimeout=0)
                assert len(answer.get("Messages", ())) == 1
            assert "Messages" not in await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)

    async def publish_as_a_stranger(self, server: ProcessServer, namespace: BrokerNamespace) -> int:
        text = {"DataType": "String", "StringValue": "base64"}
        strange: list[dict[str, Any]] = [
            {"MessageBody": "no attributes at all"},
            {"MessageBody": "no base64 \u00fc \U0001f980", "MessageAttributes": {"encoding": text}},
            {"MessageBody": "=", "MessageAttributes": {"encoding": text}},
            {"MessageBody": "b", "MessageAttributes": {"encoding": {"DataType": "Binary", "BinaryValue": b"\xff"}}},
            {"MessageBody": "c", "MessageAttributes": {"encoding": {"DataType": "Number", "StringValue": "7"}}},
            {"MessageBody": "d", "MessageAttributes": {f"a{number}": text for number in range(10)}},
        ]
        session = aioboto3.Session("any", "any", region_name="eu-west-1")
        async with session.client("sqs", endpoint_url=f"http://{server.address}") as sqs:
            url = (await sqs.get_queue_url(QueueName=f"quartet-test-{namespace.alpha}"))["QueueUrl"]
            for one in strange:
                await sqs.send_message(QueueUrl=url, **one)
        return len(strange)

    @pytest.mark.parametrize("call", ["poll", "hide"])
    async def test_a_task_that_fails_by_a_bug_fails_the_consumer_and_is_started_again(
        self, namespace: BrokerNamespace, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        alpha = await namespace.open(namespace.alpha)
        assert isinstance(alpha, SnsSqsTransport)
        with monkeypatch.context() as patch:
            patch.setattr(alpha._client, call, AsyncMock(side_effect=KeyError("a bug of ours")))
            with pytest.raises(KeyError, match="a bug of ours"):
                await namespace.consume(alpha)
        while True:  # the error of each task is raised once
            try:
                await alpha.receive()
                break
            except KeyError:
                continue
        rows = namespace.rows(namespace.one, 5)
        await alpha.publish(rows)
        held = await namespace.hold(alpha, rows)
        other = await namespace.open(namespace.alpha)
        assert not await namespace.listen(other, 2 * VISIBILITY)
        await alpha.settle(held, [], [])

    async def test_a_slow_batch_keeps_its_messages(self, namespace: BrokerNamespace) -> None:
        slow, other = await namespace.open(namespace.alpha), await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 5)
        await slow.publish(rows)
        held = await namespace.hold(slow, rows)
        assert not await namespace.listen(other, 2 * VISIBILITY)
        await slow.settle(held, [], [])

"""SNS and SQS keep what every transport promises, as the local emulator plays them.

The emulator writes its state when it is stopped, and only then: a kill loses messages, and queues.
"""

from collections.abc import Iterator

import aioboto3
import pytest

from sagakit.modes.sns_sqs.topology import dead_letters
from sagakit.modes.sns_sqs.transport import SnsSqsTransport
from sagakit.ports import Transport
from sagakit.topology import Topology
from tests.modes.conformance import TransportConformance, settings
from tests.modes.corner import Corner
from tests.modes.servers import ProcessServer, running

pytestmark = pytest.mark.carrier("sns_sqs")
VISIBILITY = settings().sqs_visibility


class TestSnsSqs(TransportConformance):
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
            found = await sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["cause"]
            )
        return [
            (one["Body"].encode(), one["MessageAttributes"]["cause"]["StringValue"])
            for one in found.get("Messages", ())
        ]

    async def test_what_a_slow_batch_has_in_hand_is_given_to_nobody_else(self, corner: Corner) -> None:
        slow, other = await corner.open(corner.alpha), await corner.open(corner.alpha)
        rows = corner.rows(corner.one, 5)
        await slow.publish(rows)
        held = await corner.hold(slow, rows)
        assert not await corner.listen(other, 2 * VISIBILITY)
        await slow.settle(held, [])

"""Calls to SNS and SQS: long-lived clients, a timeout on every call, and a topology that is created anew when lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import aioboto3
import aiohttp
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from yarl import URL

from sagakit.modes.connecting import until_ready
from sagakit.modes.sns_sqs.topology import Addresses, QueuePlan, ensure
from sagakit.modes.sns_sqs.wire import BATCH_ENTRIES, Packed
from sagakit.settings import Settings

log = logging.getLogger(__name__)

POLL_SECONDS = 2  # short, since the poll of a dead process may still receive messages, which then stay hidden
CALL_SECONDS = 5.0
ENSURE_SECONDS = 30.0
CONNECTIONS = 24
CALLS = 8  # at a time, besides polls

MISSING = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NotFound", "NotFoundException"})
BROKER_ERRORS = (BotoCoreError, ClientError, aiohttp.ClientError, TimeoutError, OSError)


class Receipt(NamedTuple):
    """What SQS needs to settle a received message: the name of its queue, and the handle of this receive."""

    queue: str
    handle: str


class Client:
    """SNS and SQS for one plan. Calls raise one of BROKER_ERRORS, and create queues and topics that are missing."""

    def __init__(self, settings: Settings, plan: QueuePlan, visibility: int) -> None:
        self._settings, self._plan, self._visibility = settings, plan, visibility
        self._stack = AsyncExitStack()
        self._sqs: Any = None
        self._sns: Any = None
        self._where = Addresses({}, {})
        self._ensuring = asyncio.Lock()
        self._ensured = 0
        self._calls = asyncio.Semaphore(CALLS)

    async def open(self) -> None:
        """Open the clients, and wait as long as it takes until the broker is there and the topology exists."""
        if self._sqs is None:
            await self._connect()
        await until_ready("SNS/SQS", lambda: self._ensure(self._ensured), self._settings, BROKER_ERRORS)

    async def close(self) -> None:
        """Close the clients."""
        await self._stack.aclose()
        self._sqs = self._sns = None

    async def put(self, target: str, batch: Sequence[Packed]) -> Any:
        """Publish up to ten messages to a topic, or send them to a queue; the answer tells the fate of each."""
        is_topic = target in self._plan.topics
        key = "Message" if is_topic else "MessageBody"
        entries = [
            {"Id": str(at), key: text, "MessageAttributes": attributes} for at, (text, attributes) in enumerate(batch)
        ]

        def operation() -> Any:
            if is_topic:
                return self._sns.publish_batch(TopicArn=self._where.topics[target], PublishBatchRequestEntries=entries)
            return self._sqs.send_message_batch(QueueUrl=self._where.queues[target], Entries=entries)

        async with self._calls:
            return await self._call(operation)

    async def poll(self, queue: str) -> Sequence[Any]:
        """Up to ten messages; none if none came within POLL_SECONDS."""
        answer = await self._call(
            lambda: self._sqs.receive_message(
                QueueUrl=self._where.queues[queue],
                MaxNumberOfMessages=BATCH_ENTRIES,
                WaitTimeSeconds=POLL_SECONDS,
                VisibilityTimeout=self._visibility,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                MessageAttributeNames=["encoding"],
            ),
            POLL_SECONDS + CALL_SECONDS,
        )
        return answer.get("Messages") or ()

    async def probe(self) -> None:
        """Return if both SNS and SQS answer about a topic and a queue of ours, even that there is none.

        Raises:
            ConnectionError: The client is not open yet.
            ClientError: SNS or SQS answered with another error; or one of BROKER_ERRORS.
        """
        if not (self._where.queues and self._where.topics):
            raise ConnectionError("not connected yet")
        queue, topic = next(iter(self._where.queues.values())), next(iter(self._where.topics.values()))
        try:
            await self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
            await self._sns.get_topic_attributes(TopicArn=topic)
        except ClientError as error:
            if error.response["Error"]["Code"] not in MISSING:
                raise

    async def delete(self, receipts: Iterable[Receipt]) -> None:
        """Delete messages. Never raises: a message that could not be deleted comes again, and the inbox knows it."""
        await self._each_ten({receipt: {} for receipt in receipts}, lambda: self._sqs.delete_message_batch)

    async def hide(self, seconds: Mapping[Receipt, int]) -> None:
        """Let each message come again after its number of seconds. Never raises: if it fails it comes later."""
        changes = {receipt: {"VisibilityTimeout": wait} for receipt, wait in seconds.items()}
        await self._each_ten(changes, lambda: self._sqs.change_message_visibility_batch)

    async def _each_ten(
        self, changes: Mapping[Receipt, dict[str, Any]], operation: Callable[[], Callable[..., Any]]
    ) -> None:
        async def call(queue: str, ten: Sequence[Receipt]) -> None:
            entries = [
                {"Id": str(at), "ReceiptHandle": receipt.handle, **changes[receipt]} for at, receipt in enumerate(ten)
            ]
            try:
                async with self._calls, asyncio.timeout(CALL_SECONDS):
                    await operation()(QueueUrl=self._where.queues[queue], Entries=entries)
            except BROKER_ERRORS as error:
                log.info("%d messages could not be settled, they come again: %r", len(ten), error)

        by_queue = groupby(sorted(changes), key=lambda receipt: receipt.queue)
        await asyncio.gather(*(call(queue, ten) for queue, receipts in by_queue for ten in _tens(list(receipts))))

    async def _call(self, operation: Callable[[], Awaitable[Any]], seconds: float = CALL_SECONDS) -> Any:
        version = self._ensured
        try:
            async with asyncio.timeout(seconds):
                return await operation()
        except ClientError as error:
            if error.response["Error"]["Code"] not in MISSING:
                raise
        await self._ensure(version)
        async with asyncio.timeout(seconds):
            return await operation()

    async def _ensure(self, version: int) -> None:
        """Create the topology, unless another call has done so since it had that version."""
        async with self._ensuring:
            if self._ensured == version:
                if version:
                    log.warning("SNS/SQS has lost queues or topics, they are created again")
                async with asyncio.timeout(ENSURE_SECONDS):
                    self._where = await ensure(self._sqs, self._sns, self._plan, self._settings)
                self._ensured += 1

    async def _connect(self) -> None:
        settings = self._settings
        address = {"region_name": settings.aws_default_region, "endpoint_url": settings.aws_endpoint_url}
        config = Config(
            connect_timeout=2,
            read_timeout=POLL_SECONDS + CALL_SECONDS,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": 2},
            parameter_validation=False,
            tcp_keepalive=True,
            user_agent="quartet",  # otherwise botocore composes a longer one for each call: a tenth of its work
        )
        emulated = (settings.aws_endpoint_url or "").startswith("http:")
        if emulated:
            config = config.merge(Config(signature_version=UNSIGNED))
        session = aioboto3.Session()
        self._sns = await self._stack.enter_async_context(session.client("sns", config=config, **address))
        self._sqs = await self._stack.enter_async_context(session.client("sqs", config=config, **address))
        self._sns.meta.events.register("before-call.sns", encode_form)
        if emulated:
            for client in (self._sns, self._sqs):
                client.meta.events.register("before-call", partial(_name_region, client.meta))


def encode_form(params: dict[str, Any], **_: Any) -> None:
    """Encode the form of a call to SNS, six times as fast as botocore, which does it twice to sign it."""
    params["body"] = URL.build(query=params["body"]).raw_query_string.encode()


def _name_region(meta: Any, params: dict[str, Any], **_: Any) -> None:
    """Name the region where the header of a signature names it: an emulator reads it there, and checks no signature."""
    scope = f"emulator/20000101/{meta.region_name}/{meta.service_model.signing_name}/aws4_request"
    params["headers"]["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"


def _tens(receipts: Sequence[Receipt]) -> Iterator[Sequence[Receipt]]:
    return (receipts[at : at + BATCH_ENTRIES] for at in range(0, len(receipts), BATCH_ENTRIES))

"""The transport: polls that outlive a call of `receive`, batched calls, and a topology that is made again when lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

import aioboto3  # type: ignore[import-untyped]
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sagakit.modes.sns_sqs import topology as layout
from sagakit.modes.sns_sqs.wire import Packed, batches, pack, tens, unpack
from sagakit.ports import Delivery, Failure, Outgoing
from sagakit.settings import Settings
from sagakit.topology import Topology

log = logging.getLogger(__name__)
T = TypeVar("T")

POLLS = 4  # receive calls under way at a time, ten messages each
POLL_SECONDS = 2  # what the broker hands to a poll whose process died stays hidden: so a poll is not long
CALL_SECONDS = 5.0  # any other call
CALLS = 8  # calls under way at a time in one publish or settle
HOLD_LIMIT = 10  # times that a message's visibility is extended
ENSURE_SECONDS = 30.0

MISSING = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NotFound", "NotFoundException"})
ERRORS = (BotoCoreError, ClientError, TimeoutError, OSError)


class NotPublished(Exception):
    """The broker refused some of the messages, or may lack them: all are to be published again."""


@dataclass(slots=True)
class _Held:
    since: float
    extensions: int = 0


class SnsSqsTransport:
    """One service's end of SNS and SQS. `start` waits for the broker as long as it takes; so does `receive`."""

    def __init__(self, settings: Settings, consumer_name: str, topology: Topology) -> None:
        self._settings = settings
        self._plan = layout.plan(topology)
        self._queue = self._plan.queues.get(self._plan.consumed.get(consumer_name, ""))
        self._visibility = max(1, ceil(settings.sqs_visibility))
        self._stack = AsyncExitStack()
        self._sqs: Any = None
        self._sns: Any = None
        self._ensuring = asyncio.Lock()
        self._ensured = 0
        self._where = layout.Addresses({}, {})
        self._calls = asyncio.Semaphore(CALLS)
        self._polls: set[asyncio.Task[list[Delivery]]] = set()
        self._held: dict[str, _Held] = {}
        self._heartbeat: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        if self._sqs is None:
            await self._open()
        pause = self._settings.retry_initial
        while True:
            try:
                return await self._ensure(self._ensured)
            except ERRORS as error:
                log.warning("SNS/SQS not ready, trying again in %.1f s: %s", pause, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._settings.retry_max)

    async def publish(self, rows: Sequence[Outgoing]) -> None:
        targets: dict[str, list[Packed]] = {}
        for row in rows:
            targets.setdefault(self._plan.targets[row.channel], []).append(pack(row.body, type=row.type))
        calls = [(target, batch) for target, packed in targets.items() for batch in batches(packed)]
        answers = await asyncio.gather(*(self._put(*call) for call in calls), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, ERRORS):
                raise NotPublished(str(answer)) from answer
            if isinstance(answer, BaseException):
                raise answer
            if answer.get("Failed"):
                raise NotPublished(str(answer["Failed"]))

    async def receive(self) -> Sequence[Delivery]:
        """What the polls have by now, at least one message; the others go on and keep theirs for the next call."""
        if self._queue is None:
            await asyncio.sleep(POLL_SECONDS)
            return ()
        self._poll_more()
        done, self._polls = await asyncio.wait(self._polls, return_when=asyncio.FIRST_COMPLETED)
        self._poll_more()
        return [delivery for poll in done for delivery in poll.result()]

    async def settle(self, done: Sequence[Delivery], failed: Sequence[Failure]) -> None:
        limit = self._settings.delivery_attempts
        worn_out = [one for one in failed if one.poison or one.delivery.attempt >= limit]
        again = [one.delivery for one in failed if not (one.poison or one.delivery.attempt >= limit)]
        buried = await self._bury(worn_out)
        for delivery in (*done, *(one.delivery for one in failed)):
            self._held.pop(delivery.receipt, None)
        await asyncio.gather(
            self._delete([delivery.receipt for delivery in (*done, *buried)]),
            self._show({delivery.receipt: self._pause(delivery.attempt) for delivery in again}),
        )

    async def close(self) -> None:
        """Let the polls end, give back what is in hand, close the clients."""
        self._closing = True
        if self._polls:
            _, late = await asyncio.wait(self._polls, timeout=POLL_SECONDS + 1)
            for poll in late:
                poll.cancel()
            await asyncio.gather(*self._polls, return_exceptions=True)
            self._polls.clear()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
            self._heartbeat = None
        await self._show(dict.fromkeys(self._held, 0))
        self._held.clear()
        await self._stack.aclose()
        self._sqs = self._sns = None

    # --- inside -------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        settings = self._settings
        arguments: dict[str, Any] = {"region_name": settings.aws_default_region}
        if settings.aws_endpoint_url:
            arguments["endpoint_url"] = settings.aws_endpoint_url
            if settings.aws_endpoint_url.startswith("http:"):  # an emulator: it takes any credentials
                arguments |= {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator"}
        config = Config(
            connect_timeout=2,
            read_timeout=POLL_SECONDS + CALL_SECONDS,
            max_pool_connections=POLLS + 2 * CALLS,
            retries={"mode": "standard", "total_max_attempts": 2},
            parameter_validation=False,
            tcp_keepalive=True,
        )
        session = aioboto3.Session()
        self._sqs = await self._stack.enter_async_context(session.client("sqs", config=config, **arguments))
        self._sns = await self._stack.enter_async_context(session.client("sns", config=config, **arguments))
        self._heartbeat = asyncio.create_task(self._extend())

    async def _ensure(self, known: int) -> None:
        """Make the topology, unless somebody made it since `known`."""
        async with self._ensuring:
            if self._ensured == known:
                async with asyncio.timeout(ENSURE_SECONDS):
                    self._where = await layout.ensure(self._sqs, self._sns, self._plan, self._settings)
                self._ensured += 1

    async def _call(self, operation: Callable[[], Awaitable[T]], seconds: float = CALL_SECONDS) -> T:
        """One call within its time; once more after the topology was made again, if that had been forgotten."""
        known = self._ensured
        try:
            async with asyncio.timeout(seconds):
                return await operation()
        except ClientError as error:
            if error.response["Error"]["Code"] not in MISSING:
                raise
        log.warning("the broker has forgotten queues or topics; making them again")
        await self._ensure(known)
        async with asyncio.timeout(seconds):
            return await operation()

    def _poll_more(self) -> None:
        while len(self._polls) < POLLS:
            self._polls.add(asyncio.create_task(self._poll()))

    async def _poll(self) -> list[Delivery]:
        """Poll until there is something. Never fails: whatever goes wrong is tried again, more and more slowly."""
        pause = self._settings.retry_initial
        while not self._closing:
            try:
                answer = await self._call(
                    lambda: self._sqs.receive_message(
                        QueueUrl=self._own,
                        MaxNumberOfMessages=BATCH_ENTRIES,
                        WaitTimeSeconds=POLL_SECONDS,
                        VisibilityTimeout=self._visibility,
                        MessageSystemAttributeNames=["ApproximateReceiveCount"],
                        MessageAttributeNames=["encoding"],
                    ),
                    POLL_SECONDS + CALL_SECONDS,
                )
            except Exception as error:
                log.warning("receiving failed, trying again in %.1f s: %r", pause, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._settings.retry_max)
                continue
            pause = self._settings.retry_initial
            if messages := answer.get("Messages"):
                return [self._hold(message) for message in messages]
        return []

    def _hold(self, message: Any) -> Delivery:
        receipt = message["ReceiptHandle"]
        self._held[receipt] = _Held(asyncio.get_running_loop().time())
        return Delivery(unpack(message), receipt, int(message["Attributes"]["ApproximateReceiveCount"]))

    @property
    def _own(self) -> str:
        assert self._queue is not None
        return self._where.queues[self._queue.name]

    async def _put(self, target: str, batch: Sequence[Packed]) -> Any:
        """Publish to a topic, or send to a queue; the broker's answer."""
        is_topic = target in self._plan.topics
        text = "Message" if is_topic else "MessageBody"
        entries = [{"Id": str(at), text: one[0], "MessageAttributes": one[1]} for at, one in enumerate(batch)]

        def operation() -> Awaitable[Any]:
            if is_topic:
                topic = self._where.topics[target]
                return cast(Awaitable[Any], self._sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries))
            return cast(Awaitable[Any], self._sqs.send_message_batch(QueueUrl=self._where.queues[target], Entries=entries))

        async with self._calls:
            return await self._call(operation)

    async def _bury(self, failures: Sequence[Failure]) -> list[Delivery]:
        """Send to the dead-letter queue, with the cause; those that are there now. The rest come again."""
        buried: list[Delivery] = []
        packed = [pack(one.delivery.body, cause=one.cause) for one in failures]
        at = 0
        for batch in batches(packed):
            assert self._queue is not None
            try:
                answer = await self._put(self._queue.dead_letters, batch)
                buried += [failures[at + int(one["Id"])].delivery for one in answer.get("Successful", ())]
            except ERRORS as error:
                log.warning("%d dead letters could not be sent: %s", len(batch), error)
            at += len(batch)
        return buried

    async def _delete(self, receipts: Sequence[str]) -> None:
        await self._each_ten(receipts, lambda url, entries: self._sqs.delete_message_batch(QueueUrl=url, Entries=entries))

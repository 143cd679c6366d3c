"""Google's asynchronous client with a timeout on every call, and without its own retries, which have no end.

Messages are handled as plain protocol buffers, since the client's wrapper classes cost more than the call.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import google.auth
import grpc.aio  # type: ignore[import-untyped]
from google.api_core.exceptions import NotFound
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from sagakit.modes.pubsub.wire import batches

log = logging.getLogger(__name__)

CALL: Final = 4.0  # seconds; after them the outcome of a call is unknown; below the lease of an outbox row
PULL: Final = 20.0  # seconds; the server answers an empty pull earlier
PULL_EMULATED: Final = 2.0  # the emulator answers a second earlier; until then a pull takes messages for a dead client
CHANNEL: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),  # by default up to two minutes pass before a new attempt to connect
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),  # for at most this long a dead connection goes unnoticed
)
SERVICE: Final = "pubsub.googleapis.com:443"

_publish_request: Final[Callable[..., Any]] = types.PublishRequest.pb()
T = TypeVar("T")
Ensure = Callable[["Client"], Awaitable[None]]


class Client:
    """Publisher and subscriber on one connection, usable once it is open. Errors are those of google.api_core.

    `ensure` creates all topics and subscriptions: when the client is opened, and when a publish or a pull finds one
    missing, once for all calls that do so, which are then repeated.
    """

    publisher: PublisherAsyncClient
    subscriber: SubscriberAsyncClient

    def __init__(self, emulator: str | None, ensure: Ensure | None = None) -> None:
        self._emulator, self._pull_seconds = emulator, PULL_EMULATED if emulator else PULL
        self._ensure, self._ensuring, self._ensured = ensure, asyncio.Lock(), 0
        self._channel: grpc.aio.Channel | None = None

    async def open(self) -> None:
        """Connect to the emulator if one is named; else to Google, with the credentials that the machine provides."""
        if self._channel is None:
            self._channel = channel = await self._connect()
            self.publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
            self.subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        if self._ensure is not None:
            await self._ensure(self)

    async def publish_all(self, messages: Mapping[str, Sequence[Any]]) -> None:
        """Publish messages by topic, in as few requests as possible; raise within CALL seconds if any may fail."""
        async with asyncio.timeout(CALL):
            calls = (self.publish(topic, batch) for topic, rows in messages.items() for batch in batches(rows))
            for result in await asyncio.gather(*calls, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result

    async def publish(self, topic: str, messages: Sequence[Any]) -> None:
        """Publish messages in one request; the topic, as all names here, is a full resource name."""
        request = types.PublishRequest.wrap(_publish_request(topic=topic, messages=messages))
        await self._healed(lambda: self.publisher.publish(request, timeout=CALL, retry=None))

    async def pull(self, subscription: str, limit: int) -> Sequence[Any]:
        """Received messages; waits until there is one, or returns none after a while."""
        request = types.PullRequest(subscription=subscription, max_messages=limit)
        response = await self._healed(lambda: self.subscriber.pull(request, timeout=self._pull_seconds, retry=None))
        received: Sequence[Any] = types.PullResponse.pb(response).received_messages
        return received

    async def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """The messages are handled and do not come again."""
        request = types.AcknowledgeRequest(subscription=subscription, ack_ids=ack_ids)
        await self.subscriber.acknowledge(request, timeout=CALL, retry=None)

    async def extend(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Keep the messages leased for `seconds` from now; 0 gives them back at once."""
        request = types.ModifyAckDeadlineRequest(
            subscription=subscription, ack_ids=ack_ids, ack_deadline_seconds=seconds
        )
        await self.subscriber.modify_ack_deadline(request, timeout=CALL, retry=None)

    async def probe(self, topic: str) -> None:
        """Return if the server answers, even that it has no such topic.

        Raises:
            ConnectionError: The client is not open yet; or an error of google.api_core.
        """
        if self._channel is None:
            raise ConnectionError("not connected yet")
        with suppress(NotFound):
            await self.publisher.get_topic(types.GetTopicRequest(topic=topic), timeout=CALL, retry=None)

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()

    async def _connect(self) -> grpc.aio.Channel:
        if self._emulator:
            return grpc.aio.insecure_channel(self._emulator, options=CHANNEL)
        scopes = PublisherGrpcAsyncIOTransport.AUTH_SCOPES
        credentials, _ = await asyncio.to_thread(google.auth.default, scopes=scopes)
        return PublisherGrpcAsyncIOTransport.create_channel(
            SERVICE, credentials=credentials, scopes=scopes, options=CHANNEL
        )

    async def _healed(self, call: Callable[[], Awaitable[T]]) -> T:
        version = self._ensured
        try:
            return await call()
        except NotFound:
            if self._ensure is None:
                raise
            async with self._ensuring:
                if version == self._ensured:
                    log.warning("Pub/Sub has lost topics or subscriptions, they are created again")
                    await self._ensure(self)
                    self._ensured += 1
            return await call()

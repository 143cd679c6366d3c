"""Google's asynchronous client with a time-out on every call, and none of its own retries, which have no end.

Messages are handled as plain protocol buffers: the client's wrapper classes cost more than the call.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import google.auth
import grpc.aio  # type: ignore[import-untyped]
from google.api_core.exceptions import NotFound
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

CALL: Final = 4.0  # longer, and the outcome of a call is unknown; below the lease of an outbox row
PULL: Final = 20.0  # the server answers an empty pull before this
PULL_EMULATED: Final = 2.0  # a second before this; a pull whose client has gone takes messages until then
CHANNEL: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),  # by default a broker is not looked for again for two minutes
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),  # so long may a connection swallow what is sent
)
SERVICE: Final = "pubsub.googleapis.com:443"

new_message: Final[Callable[..., Any]] = types.PubsubMessage.pb()
_publish_request: Final[Callable[..., Any]] = types.PublishRequest.pb()


class Client:
    """Publisher and subscriber on one connection, usable once opened; errors are google.api_core's."""

    publisher: PublisherAsyncClient
    subscriber: SubscriberAsyncClient

    def __init__(self, emulator: str | None) -> None:
        self._emulator, self._pull = emulator, PULL_EMULATED if emulator else PULL
        self._channel: grpc.aio.Channel | None = None

    async def open(self) -> None:
        """To the emulator if one was named; else to Google, with the credentials that the machine provides."""
        if self._channel is not None:
            return
        if self._emulator:
            channel = grpc.aio.insecure_channel(self._emulator, options=CHANNEL)
        else:
            scopes = PublisherGrpcAsyncIOTransport.AUTH_SCOPES
            credentials, _ = await asyncio.to_thread(google.auth.default, scopes=scopes)
            channel = PublisherGrpcAsyncIOTransport.create_channel(
                SERVICE, credentials=credentials, scopes=scopes, options=CHANNEL
            )
        self.publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        self.subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        self._channel = channel

    async def publish(self, topic: str, messages: Sequence[Any]) -> None:
        request = types.PublishRequest.wrap(_publish_request(topic=topic, messages=messages))
        await self.publisher.publish(request, timeout=CALL, retry=None)

    async def pull(self, subscription: str, limit: int) -> Sequence[Any]:
        """Received messages; waits until there is one, or comes back empty after a while."""
        request = types.PullRequest(subscription=subscription, max_messages=limit)
        response = await self.subscriber.pull(request, timeout=self._pull, retry=None)
        received: Sequence[Any] = types.PullResponse.pb(response).received_messages
        return received

    async def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        request = types.AcknowledgeRequest(subscription=subscription, ack_ids=ack_ids)
        await self.subscriber.acknowledge(request, timeout=CALL, retry=None)

    async def extend(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """The messages stay leased for so long from now; 0 gives them back at once."""
        request = types.ModifyAckDeadlineRequest(
            subscription=subscription, ack_ids=ack_ids, ack_deadline_seconds=seconds
        )
        await self.subscriber.modify_ack_deadline(request, timeout=CALL, retry=None)

    async def probe(self, topic: str) -> None:
        """Raises unless the server answers; that it has no such topic is an answer too."""
        if self._channel is None:
            raise ConnectionError("not connected yet")
        with suppress(NotFound):
            await self.publisher.get_topic(types.GetTopicRequest(topic=topic), timeout=CALL, retry=None)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

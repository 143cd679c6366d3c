"""The topology as topics and subscriptions, created in an order in which as few messages as possible are lost."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from google.api_core.exceptions import AlreadyExists
from google.pubsub_v1 import types

from sagakit.modes.pubsub.client import CALL, Client
from sagakit.settings import Settings
from sagakit.topology import Subscription, Topology

DEADLINE: Final = 10  # seconds that a message stays leased unless extended: the least that Pub/Sub allows
BACKSTOP: Final = 100  # deliveries after which Pub/Sub gives a message up: the most that it allows
FILTER_LIMIT: Final = 256  # bytes


class FilterChanged(RuntimeError):
    """A subscription exists with another filter, which cannot be changed: messages that it holds back would be lost."""


def topic_of(channel: str) -> str:
    """The topic that carries a channel."""
    return f"quartet-{channel.replace('.', '-')}"


def subscription_of(subscription: Subscription) -> str:
    """The Pub/Sub subscription of one consumer to one channel."""
    return f"{topic_of(subscription.channel)}-{subscription.consumer}"


def dead_letters_of(topology: Topology, consumer: str) -> str:
    """The topic, and its subscription of the same name, of what a consumer has given up."""
    return f"quartet-{topology.style}-{consumer}-dead-letters"


def undelivered_of(topology: Topology, consumer: str) -> str:
    """The same for what Pub/Sub itself has given up; the consumer receives it and makes a dead letter of it."""
    return f"quartet-{topology.style}-{consumer}-undelivered"


def filter_of(subscription: Subscription) -> str:
    """The filter by message type; empty if it is too long for Pub/Sub. The consumer checks types itself, too."""
    types_filter = " OR ".join(f'attributes.type = "{name}"' for name in sorted(subscription.types))
    return types_filter if len(types_filter.encode()) <= FILTER_LIMIT else ""


class Names:
    """Full resource names in one project."""

    def __init__(self, project: str) -> None:
        self._project = f"projects/{project}"

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return f"{self._project}/topics/{name}"

    def subscription(self, name: str) -> str:
        """The full name of a subscription."""
        return f"{self._project}/subscriptions/{name}"


async def ensure(client: Client, settings: Settings, topology: Topology) -> None:
    """Create all topics and subscriptions of all services that are missing. May be called by all at the same time.

    Dead-letter topics come first, and each topic comes together with its subscriptions, since a message that is
    published to a topic without subscriptions reaches nobody.
    """
    names = Names(settings.pubsub_project)
    dead = [name(topology, consumer) for consumer in topology.consumers for name in (dead_letters_of, undelivered_of)]
    await asyncio.gather(*(_channel(client, names.topic(name), [_dead_letters(names, name)]) for name in dead))
    await asyncio.gather(
        *(
            _channel(
                client,
                names.topic(topic_of(channel)),
                [_listener(names, settings, topology, s) for s in topology.subscriptions if s.channel == channel],
            )
            for channel in topology.channels
        )
    )


async def _channel(client: Client, topic: str, subscriptions: list[dict[str, Any]]) -> None:
    with suppress(AlreadyExists):
        await client.publisher.create_topic(name=topic, timeout=CALL, retry=None)
    await asyncio.gather(*(_subscription(client, subscription) for subscription in subscriptions))


async def _subscription(client: Client, new: dict[str, Any]) -> None:
    try:
        await client.subscriber.create_subscription(types.Subscription(new), timeout=CALL, retry=None)
    except AlreadyExists:
        name, policy = new["name"], new.get("dead_letter_policy", {})
        existing = await client.subscriber.get_subscription(subscription=name, timeout=CALL, retry=None)
        if existing.filter != new["filter"]:
            raise FilterChanged(
                f"{name} has the filter {existing.filter!r} instead of {new['filter']!r}: drain and delete it"
            ) from None
        if existing.dead_letter_policy.dead_letter_topic != policy.get("dead_letter_topic", ""):
            changed = {"name": name, "dead_letter_policy": policy}
            request = types.UpdateSubscriptionRequest(
                subscription=changed, update_mask={"paths": ["dead_letter_policy"]}
            )
            await client.subscriber.update_subscription(request, timeout=CALL, retry=None)


def _dead_letters(names: Names, name: str) -> dict[str, Any]:
    return {
        "name": names.subscription(name),
        "topic": names.topic(name),
        "expiration_policy": {},  # never
        "filter": "",
    }


def _listener(names: Names, settings: Settings, topology: Topology, subscription: Subscription) -> dict[str, Any]:
    return {
        "name": names.subscription(subscription_of(subscription)),
        "topic": names.topic(topic_of(subscription.channel)),
        "ack_deadline_seconds": DEADLINE,
        "expiration_policy": {},
        "filter": filter_of(subscription),
        # for every ordering key that an ordered subscription sees, the emulator keeps a thread for ever
        "enable_message_ordering": settings.pubsub_emulator_host is None,
        "retry_policy": {
            "minimum_backoff": timedelta(seconds=settings.retry_initial),
            "maximum_backoff": timedelta(seconds=settings.retry_max),
        },
        "dead_letter_policy": {
            "dead_letter_topic": names.topic(undelivered_of(topology, subscription.consumer)),
            "max_delivery_attempts": BACKSTOP,
        },
    }

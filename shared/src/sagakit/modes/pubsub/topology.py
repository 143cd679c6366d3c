"""The topology as topics and subscriptions, made in an order that loses as little as can be."""

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
BACKSTOP: Final = 100  # deliveries, whatever became of them: the most that Pub/Sub allows
FILTER_LIMIT: Final = 256  # bytes


class FilterChanged(RuntimeError):
    """A subscription exists with another filter, which cannot be changed: what it withholds would be lost."""


def topic_of(channel: str) -> str:
    return f"quartet-{channel.replace('.', '-')}"


def subscription_of(subscription: Subscription) -> str:
    return f"{topic_of(subscription.channel)}-{subscription.consumer}"


def dead_letters_of(topology: Topology, consumer: str) -> str:
    """What a consumer gave up: the name of both the topic and its subscription; channels begin with the style."""
    return f"quartet-{topology.channels[0].partition('.')[0]}-{consumer}-dead-letters"


def undelivered_of(topology: Topology, consumer: str) -> str:
    """What Pub/Sub itself gave up, and the consumer then writes down: topic and subscription, as above."""
    return dead_letters_of(topology, consumer).replace("-dead-letters", "-undelivered")


def filter_of(subscription: Subscription) -> str:
    """By message type; empty if Pub/Sub would refuse it for its length. The consumer checks types itself."""
    wanted = " OR ".join(f'attributes.type = "{name}"' for name in sorted(subscription.types))
    return wanted if len(wanted.encode()) <= FILTER_LIMIT else ""


class Names:
    """Full resource names in one project."""

    def __init__(self, project: str) -> None:
        self._project = f"projects/{project}"

    def topic(self, name: str) -> str:
        return f"{self._project}/topics/{name}"

    def subscription(self, name: str) -> str:
        return f"{self._project}/subscriptions/{name}"


async def ensure(client: Client, settings: Settings, topology: Topology) -> None:
    """All topics and subscriptions of all parties exist afterwards; may be repeated, by all at once.

    Dead letters first, and each topic together with its subscriptions: a message that is published to a topic
    before its subscriptions exist reaches nobody.
    """
    names = Names(settings.pubsub_project)
    dead = [name(topology, one) for one in topology.consumers for name in (dead_letters_of, undelivered_of)]
    await asyncio.gather(
        *(_channel(client, names.topic(name), [_dead_letters(names, name)]) for name in dead),
    )
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
    await asyncio.gather(*(_subscription(client, wanted) for wanted in subscriptions))


async def _subscription(client: Client, wanted: dict[str, Any]) -> None:
    try:
        await client.subscriber.create_subscription(types.Subscription(wanted), timeout=CALL, retry=None)
    except AlreadyExists:
        name, policy = wanted["name"], wanted.get("dead_letter_policy", {})
        found = await client.subscriber.get_subscription(subscription=name, timeout=CALL, retry=None)
        if found.filter != wanted["filter"]:
            raise FilterChanged(
                f"{name} has the filter {found.filter!r} instead of {wanted['filter']!r}: drain and delete it"
            ) from None
        if found.dead_letter_policy.dead_letter_topic != policy.get("dead_letter_topic", ""):
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


def _listener(names: Names, settings: Settings, topology: Topology, one: Subscription) -> dict[str, Any]:
    return {
        "name": names.subscription(subscription_of(one)),
        "topic": names.topic(topic_of(one.channel)),
        "ack_deadline_seconds": DEADLINE,
        "expiration_policy": {},
        "filter": filter_of(one),
        # The emulator spends a thread on every ordering key that an ordered subscription sees, for ever.
        "enable_message_ordering": settings.pubsub_emulator_host is None,
        "retry_policy": {
            "minimum_backoff": timedelta(seconds=settings.retry_initial),
            "maximum_backoff": timedelta(seconds=settings.retry_max),
        },
        "dead_letter_policy": {
            "dead_letter_topic": names.topic(undelivered_of(topology, one.consumer)),
            "max_delivery_attempts": BACKSTOP,
        },
    }

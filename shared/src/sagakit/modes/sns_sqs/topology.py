"""What a topology becomes on SNS and SQS: names and policies, derived purely; `ensure` makes them so.

Per style one topic that carries all events, per consumer one queue with its dead-letter queue. A channel
`{style}.{service}.events` is the style's topic, since a type tells its owner; `{style}.{service}.commands` is the
queue of who accepts them; a channel of any other name is a topic of its own.
Sources: the API references of SNS and SQS, "Amazon SNS message filtering", "Amazon SQS dead-letter queues".
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from botocore.exceptions import ClientError

from sagakit.settings import Settings
from sagakit.topology import Topology

EVENTS, COMMANDS = "events", "commands"
DEAD_LETTER_RETENTION = 14 * 24 * 3600  # seconds; the most that SQS allows
LEAST_RECEIVES = 2  # one receive and out would bury whatever a crash interrupted once


def dead_letters(queue: str) -> str:
    """Where a consumer puts what it gave up, with the cause."""
    return f"{queue}-dead-letters"


def undelivered(queue: str) -> str:
    """Where the broker puts what was received too often; the consumer writes it down and gives it up from there."""
    return f"{queue}-undelivered"


@dataclass(frozen=True, slots=True)
class Queue:
    """What one consumer receives: from each topic the types it subscribed to; none for a queue of commands."""

    name: str
    types: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """All queues; by channel, the topic or queue it leads to; by consumer, the queue that it consumes."""

    queues: tuple[Queue, ...]
    targets: Mapping[str, str]
    consumed: Mapping[str, str]

    @property
    def topics(self) -> frozenset[str]:
        return frozenset(topic for queue in self.queues for topic in queue.types)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where things are, by name: URLs of queues, ARNs of topics."""

    queues: Mapping[str, str]
    topics: Mapping[str, str]


def plan(topology: Topology) -> QueuePlan:
    """Pure. ValueError for commands with two owners, and for a consumer of two styles."""
    queues: dict[str, dict[str, frozenset[str]]] = {}
    targets: dict[str, str] = {}
    consumed: dict[str, str] = {}
    for one in topology.subscriptions:
        style, *_, kind = one.channel.split(".")
        name = f"quartet-{style}-{one.consumer}"
        if consumed.setdefault(one.consumer, name) != name:
            raise ValueError(f"{one.consumer} cannot consume {consumed[one.consumer]} and {name}")
        types = queues.setdefault(name, {})
        if kind != COMMANDS:
            topic = f"quartet-{style}-{EVENTS}" if kind == EVENTS else f"quartet-{one.channel}".replace(".", "-")
            targets[one.channel] = topic
            types[topic] = types.get(topic, frozenset()) | one.types
        elif targets.setdefault(one.channel, name) != name:
            raise ValueError(f"{one.channel} has two consumers: a command has one owner")
    return QueuePlan(tuple(Queue(*queue) for queue in queues.items()), targets, consumed)


def filter_policy(types: frozenset[str]) -> str:
    """Over message attributes, which is SNS's default scope."""
    return json.dumps({"type": sorted(types)})


def redrive_policy(target_arn: str, attempts: int) -> str:
    """What the broker itself gives up: messages received so often and never settled, perhaps killers.

    Twice the attempts, since a receipt by a consumer that was killed or closed counts too and is no failure.
    """
    return json.dumps({"deadLetterTargetArn": target_arn, "maxReceiveCount": max(LEAST_RECEIVES, 2 * attempts)})


def queue_policy(queue_arn: str, topic_arns: Sequence[str]) -> str:
    """Nobody but these topics may send to the queue from outside the account's own roles."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "OnlyItsTopics",
                    "Effect": "Allow",
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": queue_arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": topic_arns}},
                }
            ],
        }
    )


async def ensure(sqs: Any, sns: Any, wanted: QueuePlan, settings: Settings) -> Addresses:
    """Make all exist as planned, whatever exists already. Queues first: a topic without them loses events."""
    kinds = (str, dead_letters, undelivered)
    names = [name(queue.name) for queue in wanted.queues for name in kinds]
    made = await asyncio.gather(*(sqs.create_queue(QueueName=name) for name in names))
    urls = {name: one["QueueUrl"] for name, one in zip(names, made, strict=True)}
    found = await asyncio.gather(
        *(sqs.get_queue_attributes(QueueUrl=urls[name], AttributeNames=["QueueArn"]) for name in names)
    )
    arns = {name: one["Attributes"]["QueueArn"] for name, one in zip(names, found, strict=True)}
    topics = {name: (await sns.create_topic(Name=name))["TopicArn"] for name in sorted(wanted.topics)}

    async def wire(queue: Queue) -> None:
        attributes = {
            "VisibilityTimeout": str(ceil(settings.sqs_visibility)),
            "RedrivePolicy": redrive_policy(arns[undelivered(queue.name)], settings.delivery_attempts),
        }
        if queue.types:
            attributes["Policy"] = queue_policy(arns[queue.name], [topics[one] for one in sorted(queue.types)])
        keep = {"MessageRetentionPeriod": str(DEAD_LETTER_RETENTION)}
        for place in (dead_letters, undelivered):
            await sqs.set_queue_attributes(QueueUrl=urls[place(queue.name)], Attributes=keep)
        await sqs.set_queue_attributes(QueueUrl=urls[queue.name], Attributes=attributes)
        for topic, types in queue.types.items():
            await _subscribe(sns, topics[topic], arns[queue.name], filter_policy(types))

    await asyncio.gather(*(wire(queue) for queue in wanted.queues))
    return Addresses(urls, topics)


async def _subscribe(sns: Any, topic: str, queue: str, policy: str) -> None:
    attributes = {"RawMessageDelivery": "true", "FilterPolicy": policy}
    target = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": queue}
    try:
        made = await sns.subscribe(**target, Attributes=attributes, ReturnSubscriptionArn=True)
        subscription = made["SubscriptionArn"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidParameter":
            raise
        subscription = await _existing(sns, topic, queue)  # of an older deployment, with other types
        if subscription is None:
            raise
    for name, value in attributes.items():
        await sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName=name, AttributeValue=value)


async def _existing(sns: Any, topic: str, queue: str) -> str | None:
    async for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        for one in page["Subscriptions"]:
            if one["Endpoint"] == queue:
                return str(one["SubscriptionArn"])
    return None

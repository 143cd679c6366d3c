"""What a topology becomes on SNS and SQS: names and policies are derived purely, `ensure` creates what they name.

Each style has one topic that carries all events; each consumer has one queue with its dead-letter queue. A channel
`{style}.{service}.events` is the style's topic, since a message type tells its owner; `{style}.{service}.commands` is
the queue of the service that accepts them; a channel of any other name is a topic of its own.
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
LEAST_RECEIVES = 2  # with 1, whatever a crash interrupted once would be given up


def dead_letters(queue: str) -> str:
    """The queue for what a consumer has given up, with the cause."""
    return f"{queue}-dead-letters"


def undelivered(queue: str) -> str:
    """The queue for what SQS itself has given up; the consumer receives it from there and makes a dead letter of it."""
    return f"{queue}-undelivered"


@dataclass(frozen=True, slots=True)
class Queue:
    """A consumer's queue: from each topic the types that it receives; a queue of commands has no topics."""

    name: str
    types: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """All queues; by channel, the topic or queue to publish to; by consumer, the queue to receive from."""

    queues: tuple[Queue, ...]
    targets: Mapping[str, str]
    consumed: Mapping[str, str]

    @property
    def topics(self) -> frozenset[str]:
        """The names of all topics."""
        return frozenset(topic for queue in self.queues for topic in queue.types)


@dataclass(frozen=True, slots=True)
class Addresses:
    """By name, the URLs of queues and the ARNs of topics."""

    queues: Mapping[str, str]
    topics: Mapping[str, str]


def plan(topology: Topology) -> QueuePlan:
    """What is needed on SNS and SQS for a topology. Pure.

    Raises:
        ValueError: A command has two owners, or a consumer belongs to two styles.
    """
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
    """The filter policy for message types; its scope is message attributes, SNS's default."""
    return json.dumps({"type": sorted(types)})


def redrive_policy(target_arn: str, attempts: int) -> str:
    """After how many receives SQS itself gives a message up that nobody settles: it may kill whoever handles it.

    A backstop at twice the attempts: a receive by a consumer that was killed or closed counts here and is no failure.
    """
    return json.dumps({"deadLetterTargetArn": target_arn, "maxReceiveCount": max(LEAST_RECEIVES, 2 * attempts)})


def queue_policy(queue_arn: str, topic_arns: Sequence[str]) -> str:
    """Only these topics may send to the queue, besides the account's own roles."""
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


async def ensure(sqs: Any, sns: Any, plan: QueuePlan, settings: Settings) -> Addresses:
    """Create or update everything in the plan. Queues come first, since a topic without them loses events."""
    kinds = (str, dead_letters, undelivered)
    names = [name(queue.name) for queue in plan.queues for name in kinds]
    queues = await asyncio.gather(*(sqs.create_queue(QueueName=name) for name in names))
    urls = {name: queue["QueueUrl"] for name, queue in zip(names, queues, strict=True)}
    answers = await asyncio.gather(
        *(sqs.get_queue_attributes(QueueUrl=urls[name], AttributeNames=["QueueArn"]) for name in names)
    )
    arns = {name: answer["Attributes"]["QueueArn"] for name, answer in zip(names, answers, strict=True)}
    topics = {name: (await sns.create_topic(Name=name))["TopicArn"] for name in sorted(plan.topics)}

    async def wire(queue: Queue) -> None:
        attributes = {
            "VisibilityTimeout": str(ceil(settings.sqs_visibility)),
            "RedrivePolicy": redrive_policy(arns[undelivered(queue.name)], settings.delivery_attempts),
        }
        if queue.types:
            attributes["Policy"] = queue_policy(arns[queue.name], [topics[topic] for topic in sorted(queue.types)])
        keep = {"MessageRetentionPeriod": str(DEAD_LETTER_RETENTION)}
        for place in (dead_letters, undelivered):
            await sqs.set_queue_attributes(QueueUrl=urls[place(queue.name)], Attributes=keep)
        await sqs.set_queue_attributes(QueueUrl=urls[queue.name], Attributes=attributes)
        for topic, types in queue.types.items():
            await _subscribe(sns, topics[topic], arns[queue.name], filter_policy(types))

    await asyncio.gather(*(wire(queue) for queue in plan.queues))
    return Addresses(urls, topics)


async def _subscribe(sns: Any, topic: str, queue: str, policy: str) -> None:
    attributes = {"RawMessageDelivery": "true", "FilterPolicy": policy}
    target = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": queue}
    try:
        answer = await sns.subscribe(**target, Attributes=attributes, ReturnSubscriptionArn=True)
        subscription = answer["SubscriptionArn"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidParameter":
            raise
        subscription = await _existing(sns, topic, queue)  # from an older deployment, with other types
        if subscription is None:
            raise
    for name, value in attributes.items():
        await sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName=name, AttributeValue=value)


async def _existing(sns: Any, topic: str, queue: str) -> str | None:
    async for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        for subscription in page["Subscriptions"]:
            if subscription["Endpoint"] == queue:
                return str(subscription["SubscriptionArn"])
    return None

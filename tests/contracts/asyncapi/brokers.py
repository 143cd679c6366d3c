"""The channels of Kafka, of SNS and SQS, and of Pub/Sub, with the names that the transports give them."""

import json
from typing import Final

from checkout.topology import topology_of
from sagakit.modes.kafka import topology as kafka_names
from sagakit.modes.pubsub import topology as pubsub_names
from sagakit.modes.sns_sqs import topology as sqs_names
from sagakit.settings import Settings
from sagakit.topology import Subscription, Topology
from tests.contracts.asyncapi.messages import DEAD_LETTER, Json
from tests.contracts.asyncapi.parts import STYLES, Part, carried, modes_of, sender_of

PROJECT: Final = pubsub_names.Names("{project}")
GIVEN_UP: Final = "What {} has given up, for operators."
UNDELIVERED: Final = "What the broker itself has given up; {} receives it and makes dead letters of it."


def kafka() -> Part:
    """A topic for each channel, a consumer group for each service and style, a topic for what each gives up."""
    part = Part()
    for style in STYLES:
        topology = topology_of(style)
        for channel in topology.channels:
            name = kafka_names.topic_of(channel)
            partitions = Settings.model_fields["kafka_partitions"].default
            part.channel(
                f"kafka.{name}", modes_of("kafka", style), _topic(name, partitions, _what(channel)), carried(channel)
            )
            part.sends(sender_of(channel), f"kafka.{name}", carried(channel))
        for one in topology.subscriptions:
            group = {"type": "string", "const": kafka_names.group_of(one.consumer, style)}
            bindings = {"kafka": {"groupId": group, "bindingVersion": "0.5.0"}}
            part.receives(one.consumer, f"kafka.{kafka_names.topic_of(one.channel)}", one.types, bindings=bindings)
        for consumer in topology.consumers:
            name = kafka_names.dead_letters_of(consumer)
            part.channel(f"kafka.{name}", modes_of("kafka"), _topic(name, 1, GIVEN_UP.format(consumer)), [DEAD_LETTER])
            part.given_up(consumer, f"kafka.{name}")
    return part


def _topic(name: str, partitions: int, what: str) -> Json:
    binding = {"topic": name, "partitions": partitions, "bindingVersion": "0.5.0"}
    return {"address": name, "description": what, "servers": [_server("kafka")], "bindings": {"kafka": binding}}


def pubsub() -> Part:
    """A topic for each channel, a subscription for each consumer of it, and topics for what is given up."""
    part = Part()
    for style in STYLES:
        topology, modes = topology_of(style), modes_of("pubsub", style)
        for channel in topology.channels:
            name = pubsub_names.topic_of(channel)
            part.channel(f"pubsub.{name}", modes, _pubsub_topic(name, _what(channel)), carried(channel))
            part.sends(sender_of(channel), f"pubsub.{name}", carried(channel))
        for one in topology.subscriptions:
            key, more = f"pubsub.{pubsub_names.topic_of(one.channel)}", _subscription(one)
            part.receives(one.consumer, key, one.types, **more)
        for consumer in topology.consumers:
            _pubsub_leftovers(part, topology, consumer, modes)
    return part


def _pubsub_leftovers(part: Part, topology: Topology, consumer: str, modes: list[str]) -> None:
    dead, undelivered = (f(topology, consumer) for f in (pubsub_names.dead_letters_of, pubsub_names.undelivered_of))
    part.channel(f"pubsub.{dead}", modes, _pubsub_topic(dead, GIVEN_UP.format(consumer)), [DEAD_LETTER])
    part.given_up(consumer, f"pubsub.{dead}")
    part.channel(
        f"pubsub.{undelivered}", modes, _pubsub_topic(undelivered, UNDELIVERED.format(consumer)), [DEAD_LETTER]
    )
    subscription = {"x-subscription": PROJECT.subscription(undelivered)}
    part.receives(consumer, f"pubsub.{undelivered}", [DEAD_LETTER], **subscription)


def _pubsub_topic(name: str, what: str) -> Json:
    project = {"default": Settings.model_fields["pubsub_project"].default, "description": "The Google Cloud project."}
    return {
        "address": PROJECT.topic(name),
        "description": what,
        "servers": [_server("pubsub")],
        "parameters": {"project": project},
    }


def _subscription(one: Subscription) -> Json:
    filter_ = pubsub_names.filter_of(one)
    name = {"x-subscription": PROJECT.subscription(pubsub_names.subscription_of(one))}
    return name | ({"x-filter": filter_} if filter_ else {})


def sns_sqs() -> Part:
    """One topic for all events of a style, a queue for each consumer, and queues for what is given up."""
    part = Part()
    for style in STYLES:
        topology, modes = topology_of(style), modes_of("sns_sqs", style)
        plan = sqs_names.plan(topology)
        arriving: dict[str, set[str]] = {name: set() for name in plan.topics}
        for channel in topology.channels:
            arriving.setdefault(plan.targets[channel], set()).update(carried(channel))
        for topic in sorted(plan.topics):
            content = _sns_topic(topic, f"All events, under {style}.")
            part.channel(f"sns.{topic}", modes, content, sorted(arriving[topic]))
        for queue in plan.queues:
            types = arriving.get(queue.name, set()).union(*queue.types.values())
            _queues(part, queue.name, sorted(types), modes)
        for consumer, name in plan.consumed.items():
            queue_types = part.channels[f"sqs.{name}"]["messages"]
            part.receives(consumer, f"sqs.{name}", queue_types)
            part.receives(consumer, f"sqs.{sqs_names.undelivered(name)}", [DEAD_LETTER])
            part.given_up(consumer, f"sqs.{sqs_names.dead_letters(name)}")
        for channel in topology.channels:
            target = plan.targets[channel]
            is_topic = target in plan.topics
            more = {"bindings": {"sns": _subscribers(plan, target)}} if is_topic else {}
            part.sends(sender_of(channel), f"{'sns' if is_topic else 'sqs'}.{target}", carried(channel), **more)
    return part


def _queues(part: Part, name: str, types: list[str], modes: list[str]) -> None:
    undelivered, dead = sqs_names.undelivered(name), sqs_names.dead_letters(name)
    consumer = name.rpartition("-")[2]
    attempts = Settings.model_fields["delivery_attempts"].default
    policy = json.loads(sqs_names.redrive_policy("", attempts))
    redrive = {
        "redrivePolicy": {"deadLetterQueue": {"name": undelivered}, "maxReceiveCount": policy["maxReceiveCount"]}
    }
    keep = {"messageRetentionPeriod": sqs_names.DEAD_LETTER_RETENTION}
    part.channel(f"sqs.{name}", modes, _queue(name, f"What {consumer} receives.", redrive), types)
    part.channel(f"sqs.{dead}", modes, _queue(dead, GIVEN_UP.format(consumer), keep), [DEAD_LETTER])
    part.channel(f"sqs.{undelivered}", modes, _queue(undelivered, UNDELIVERED.format(consumer), keep), [DEAD_LETTER])


def _queue(name: str, what: str, more: Json) -> Json:
    binding = {"queue": {"name": name, "fifoQueue": False, **more}, "bindingVersion": "0.2.0"}
    return {"address": name, "description": what, "servers": [_server("sqs")], "bindings": {"sqs": binding}}


def _sns_topic(name: str, what: str) -> Json:
    binding = {"name": name, "ordering": {"type": "standard"}, "bindingVersion": "0.1.0"}
    return {"address": name, "description": what, "servers": [_server("sns")], "bindings": {"sns": binding}}


def _subscribers(plan: sqs_names.QueuePlan, topic: str) -> Json:
    consumers = [
        {
            "protocol": "sqs",
            "endpoint": {"name": queue.name},
            "filterPolicy": json.loads(sqs_names.filter_policy(queue.types[topic])),
            "rawMessageDelivery": True,
        }
        for queue in plan.queues
        if topic in queue.types
    ]
    return {"consumers": consumers, "bindingVersion": "0.1.0"}


def _what(channel: str) -> str:
    style, service, kind = channel.split(".")
    return f"The {kind} {'of' if kind == 'events' else 'to'} {service}, under {style}."


def _server(name: str) -> Json:
    return {"$ref": f"#/servers/{name}"}

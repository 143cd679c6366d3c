"""Names of topics and consumer groups; `ensure` creates the topics."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from sagakit.topology import Topology

_EXISTS: Final = 36
_REPLICAS: Final = 3  # of every partition, where there are that many brokers


def topic_of(channel: str) -> str:
    """The topic that carries a channel."""
    return f"quartet.{channel}"


def group_of(service: str, style: str) -> str:
    """The consumer group of a service; one per style, since each has its own offsets."""
    return f"quartet.{service}.{style}"


def dead_letters_of(consumer: str) -> str:
    """The topic of what a consumer has given up."""
    return f"quartet.{consumer}.dead-letters"


def topics(topology: Topology, partitions: int) -> dict[str, int]:
    """Every topic of a topology, dead letters included, with the number of partitions to create it with."""
    own = {topic_of(channel): partitions for channel in topology.channels}
    return own | {dead_letters_of(consumer): 1 for consumer in topology.consumers}


async def ensure(bootstrap: str, partitions: Mapping[str, int], timeout_ms: int) -> None:
    """Create the topics that are missing, and return when the broker knows all. Existing topics stay as they are.

    Any number of processes may do so at the same time. May wait for ever: give it a timeout.

    Raises:
        KafkaError: The broker is not available, or refuses a topic.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=timeout_ms)
    try:
        await admin.start()
        if not (missing := partitions.keys() - set(await admin.list_topics())):
            return
        replicas = min(_REPLICAS, len((await admin.describe_cluster())["brokers"]))
        answer = await admin.create_topics([NewTopic(name, partitions[name], replicas) for name in sorted(missing)])
        for topic, code, *_ in answer.topic_errors:  # create_topics itself raises nothing
            if code not in (0, _EXISTS):
                raise for_code(code)(topic)
        while missing - set(await admin.list_topics()):  # noqa: ASYNC110 - only the broker knows
            await asyncio.sleep(0.05)
    finally:
        await admin.close()

"""Names of topics and groups, and how they come into being."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from sagakit.topology import Topology

_EXISTS: Final = 36
_COPIES: Final = 3  # of every partition, where there are as many brokers


def topic_of(channel: str) -> str:
    return f"quartet.{channel}"


def group_of(service: str, style: str) -> str:
    return f"quartet.{service}.{style}"  # one per style: each has offsets of its own


def dead_letters_of(consumer: str) -> str:
    return f"quartet.{consumer}.dead-letters"


def topics(topology: Topology, partitions: int) -> dict[str, int]:
    """Every topic of a topology, dead letters included, and how many partitions it is to have."""
    wanted = {topic_of(channel): partitions for channel in topology.channels}
    return wanted | {dead_letters_of(consumer): 1 for consumer in topology.consumers}


async def ensure(bootstrap: str, wanted: Mapping[str, int], timeout_ms: int) -> None:
    """Create what is missing, and return when the broker knows all of it. A topic that exists stays as it is.

    Any number of parties may do so at the same time. Raises KafkaError, or waits: give it a time-out.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=timeout_ms)
    try:
        await admin.start()
        missing = wanted.keys() - set(await admin.list_topics())
        if not missing:
            return
        copies = min(_COPIES, len((await admin.describe_cluster())["brokers"]))
        answer = await admin.create_topics([NewTopic(name, wanted[name], copies) for name in sorted(missing)])
        for topic, code, *_ in answer.topic_errors:  # create_topics itself raises nothing
            if code not in (0, _EXISTS):
                raise for_code(code)(topic)
        while missing - set(await admin.list_topics()):  # noqa: ASYNC110 - only the broker knows
            await asyncio.sleep(0.05)
    finally:
        await admin.close()

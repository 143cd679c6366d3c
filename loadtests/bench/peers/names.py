"""The peers of the bench, by the names of their modules, with what each of them is."""

from collections.abc import Mapping
from typing import Final

PEERS: Final[Mapping[str, str]] = {
    "alone": "the handlers without coordination: one process, a transaction per step, nothing that survives a crash",
    "aiokafka": "a plain Kafka consumer per service, a transaction per message",
    "faststream": "FastStream over Kafka",
    "celery": "Celery chains over RabbitMQ (durable queues, acknowledged late)",
    "dbos": "DBOS Transact, a workflow with a datasource per database",
    "restate": "Restate, a service per database",
}

"""The peers of the bench, by the names of their modules, with what each of them is."""

from collections.abc import Mapping
from typing import Final

PEERS: Final[Mapping[str, str]] = {
    "pgbench": "the least SQL, by pgbench: nobody waits for another step, and no message is sent",
    "handlers": "our services' handlers without coordination: one process, calls instead of messages",
    "alone": "the peers' steps without coordination: one process, a transaction per step",
    "aiokafka": "a plain Kafka consumer per service, a transaction per message",
    "faststream": "FastStream over Kafka",
    "celery": "Celery chains over RabbitMQ (durable queues, acknowledged late)",
    "dbos": "DBOS Transact, a workflow with a datasource per database",
    "restate": "Restate, a service per database",
    "temporal_postgresql": "`temporal-orchestration` over Temporal's server on PostgreSQL, not its development server",
}
FLOORS: Final = ("pgbench",)
"""Those that are no system: they do as many checkouts as they can, and have no rate."""

"""Outbox rows as Pub/Sub messages, and messages as dead letters."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

from sagakit.modes.pubsub.client import new_message
from sagakit.ports import Failure, OutboxRow

MOST_MESSAGES, MOST_BYTES = 1000, 9_000_000  # in one publish request; Pub/Sub allows 10 MB
OVERHEAD: Final = 500  # bytes of a message besides its body, at most
ATTRIBUTES: Final = 97  # of a stranger; Pub/Sub allows 100, and a dead letter has three of its own
CAUSE: Final = 1024  # bytes of an attribute, at most
FORMAT: Final = "application/cloudevents+json"


def message_of(row: OutboxRow) -> Any:
    attributes = {"type": row.type, "id": row.id, "content-type": FORMAT}
    return new_message(data=row.body, ordering_key=row.key, attributes=attributes)


def letter_of(failure: Failure) -> Any:
    """The message as it came, with the cause and the subscription that it came from; without what is over a limit."""
    message = failure.delivery.receipt.message
    cause = failure.cause.encode(errors="replace")[:CAUSE].decode(errors="ignore")
    origin = failure.delivery.receipt.subscription.rpartition("/")[2]
    attributes = dict(islice(message.attributes.items(), ATTRIBUTES)) | {"cause": cause, "subscription": origin}
    if len(message.data) > MOST_BYTES:
        attributes["bytes"] = str(len(message.data))
    return new_message(data=message.data[:MOST_BYTES], ordering_key=message.ordering_key, attributes=attributes)


def batches(messages: Sequence[Any]) -> Iterable[list[Any]]:
    """As few requests as Pub/Sub's limits allow; a message that is too large stands alone."""
    batch, size = list[Any](), 0
    for message in messages:
        weight = len(message.data) + OVERHEAD
        if batch and (len(batch) == MOST_MESSAGES or size + weight > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += weight
    if batch:
        yield batch

"""Outbox rows as Pub/Sub messages, and messages as dead letters."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from google.pubsub_v1 import types

from sagakit.ports import DeadDelivery, OutboxRow

MOST_MESSAGES, MOST_BYTES = 1000, 9_000_000  # in one publish request; Pub/Sub allows 10 MB
OVERHEAD: Final = 500  # bytes of a message besides its body, at most
ATTRIBUTES: Final = 97  # of the original message; Pub/Sub allows 100, and a dead letter adds up to three
CAUSE: Final = 1024  # bytes of an attribute, at most
FORMAT: Final = "application/cloudevents+json"

new_message: Final[Callable[..., Any]] = types.PubsubMessage.pb()


def message_of(row: OutboxRow) -> Any:
    """An outbox row as a message, with its type as an attribute that filters can see."""
    attributes = {"type": row.type, "id": row.id, "content-type": FORMAT}
    return new_message(data=row.body, ordering_key=row.key, attributes=attributes)


def letter_of(dead: DeadDelivery) -> Any:
    """The message as it came, with the attributes `cause` and `subscription`; what is over a limit is cut off."""
    message = dead.delivery.receipt.message
    cause = dead.cause.encode(errors="replace")[:CAUSE].decode(errors="ignore")
    origin = dead.delivery.receipt.subscription.rpartition("/")[2]
    attributes = dict(islice(message.attributes.items(), ATTRIBUTES)) | {"cause": cause, "subscription": origin}
    if len(message.data) > MOST_BYTES:
        attributes["bytes"] = str(len(message.data))
    return new_message(data=message.data[:MOST_BYTES], ordering_key=message.ordering_key, attributes=attributes)


def batches(messages: Sequence[Any]) -> Iterable[list[Any]]:
    """The messages in as few requests as Pub/Sub's limits allow; a message that is too large goes alone."""
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

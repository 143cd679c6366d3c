"""A dead letter as a record that Kafka accepts."""

from typing import Final, TypeAlias

from sagakit.modes.kafka.progress import Receipt
from sagakit.ports import DeadDelivery

MOST_BYTES: Final = 1_000_000  # of a record; by default producers and topics allow a little more
OVERHEAD: Final = 20_000  # bytes of the cause and the place, and of what the protocol adds

Headers: TypeAlias = list[tuple[str, bytes]]


def letter_of(dead: DeadDelivery) -> tuple[bytes | None, bytes, Headers]:
    """Key, body and headers of the original record, with two more headers: its cause and its place.

    A record that would be too large is cut: first its headers and key, then its body. The header `bytes` then tells
    the length of the whole body.
    """
    receipt: Receipt = dead.delivery.receipt
    record, body = receipt.record, dead.delivery.body
    place = f"{record.topic}/{record.partition}/{record.offset}"
    own = [("cause", dead.cause.encode(errors="replace")[:4000]), ("from", place.encode())]
    key, headers = record.key, list(record.headers)
    carried = len(key or b"") + sum(len(name.encode()) + len(value or b"") + 10 for name, value in headers)
    if carried + len(body) + OVERHEAD > MOST_BYTES:
        key, headers = None, []
        if len(body) + OVERHEAD > MOST_BYTES:
            own.append(("bytes", str(len(body)).encode()))
    return key, body[: MOST_BYTES - OVERHEAD], [*headers, *own]

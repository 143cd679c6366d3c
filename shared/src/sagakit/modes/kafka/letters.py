"""A delivery that was given up, as a record."""

from typing import Final, TypeAlias

from sagakit.modes.kafka.progress import Receipt
from sagakit.ports import Failure

MOST_BYTES: Final = 1_000_000  # of a record; a producer and a topic allow some more, unless told otherwise
OVERHEAD: Final = 20_000  # of the cause and the place, and of what the protocol adds

Headers: TypeAlias = list[tuple[str, bytes]]


def letter_of(failure: Failure) -> tuple[bytes | None, bytes, Headers]:
    """Key, body and headers: as they came, with the cause and the place. What would be refused is cut: first the
    headers and the key, then the body; a header `bytes` then tells the body's whole length.
    """
    receipt: Receipt = failure.delivery.receipt
    record, body = receipt.record, failure.delivery.body
    place = f"{record.topic}/{record.partition}/{record.offset}"
    own = [("cause", failure.cause.encode(errors="replace")[:4000]), ("from", place.encode())]
    key, headers = record.key, list(record.headers)
    carried = len(key or b"") + sum(len(name.encode()) + len(value or b"") + 10 for name, value in headers)
    if carried + len(body) + OVERHEAD > MOST_BYTES:
        key, headers = None, []
        if len(body) + OVERHEAD > MOST_BYTES:
            own.append(("bytes", str(len(body)).encode()))
    return key, body[: MOST_BYTES - OVERHEAD], [*headers, *own]

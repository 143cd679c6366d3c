"""A dead letter is the record as it came, as far as a broker will take it."""

from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from sagakit.modes.kafka.letters import MOST_BYTES, letter_of
from sagakit.modes.kafka.progress import Receipt
from sagakit.ports import DeadDelivery, Delivery


def letter(body: bytes, key: bytes | None = b"key", headers: Any = (("type", b"Made"), ("none", None))) -> Any:
    record = ConsumerRecord("topic", 1, 7, 0, 0, key, body, None, 3, len(body), headers)
    return letter_of(DeadDelivery(Delivery(body, Receipt(1, record)), "why \ud800"))


def test_it_is_whole_with_its_cause_and_its_place() -> None:
    key, body, headers = letter(b"body")
    assert (key, body) == (b"key", b"body")
    assert headers == [("type", b"Made"), ("none", None), ("cause", b"why ?"), ("from", b"topic/1/7")]


@pytest.mark.parametrize(
    ("body", "rest"),
    [
        (b"x" * 1_048_000, {}),
        (b"x" * 700_000, {"headers": (("h" * 100_000, b"v" * 300_000),)}),
        (b"x", {"key": b"k" * 1_040_000}),
    ],
)
def test_it_is_cut_where_it_would_be_refused(body: bytes, rest: dict[str, Any]) -> None:
    key, cut, headers = letter(body, **rest)
    own = dict(headers)
    assert len(key or b"") + len(cut) + sum(len(name) + len(value) for name, value in headers) < MOST_BYTES
    assert body.startswith(cut)
    assert own.get("bytes") == (None if cut == body else str(len(body)).encode())
    assert own["cause"] == b"why ?"

"""What SNS and SQS accept in one call, and that whatever bytes go in come out again."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagakit.modes.sns_sqs.wire import BATCH_BYTES, OVERHEAD, Packed, batches, letter_of, pack, unpack

LAWFUL = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")  # XML 1.0, as SQS wants it


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_body_survives_as_lawful_text(body: bytes) -> None:
    text, attributes = pack(body, type="OrderPlaced")
    assert LAWFUL.fullmatch(text)
    assert unpack({"Body": text, "MessageAttributes": attributes}) == body


@pytest.mark.parametrize(
    ("message", "body"),
    [
        ({"Body": "a", "MessageAttributes": {"encoding": {}}}, b"a"),
        ({"Body": "YQ==", "MessageAttributes": {"encoding": {"StringValue": "gzip"}}}, b"YQ=="),
        ({"Body": "YQ==", "MessageAttributes": {"encoding": {"BinaryValue": b"base64"}}}, b"YQ=="),
        ({"Body": "Y\u00fc==", "MessageAttributes": {"encoding": {"StringValue": "base64"}}}, "Y\u00fc==".encode()),
        ({"Body": "Y(Q==", "MessageAttributes": {"encoding": {"StringValue": "base64"}}}, b"Y(Q=="),
        ({"Body": "a", "MessageAttributes": None}, b"a"),
        ({"Body": "a", "MessageAttributes": {"encoding": "base64"}}, b"a"),
        ({"Body": "\ud800", "MessageAttributes": {}}, b"?"),
        ({"Body": None}, b""),
        ({}, b""),
    ],
)
def test_what_a_stranger_sent_is_delivered_to_be_judged(message: dict[str, Any], body: bytes) -> None:
    assert unpack(message) == body


@pytest.mark.parametrize("body", [b"a" * 300_000, b"\xff" * 250_000, "ü".encode() * 131_000])
def test_a_dead_letter_that_would_be_refused_is_cut_and_says_so(body: bytes) -> None:
    packed = letter_of(body, "c\u00e4use" * 1000)
    assert len(list(batches([packed, packed]))) == 2
    assert len(packed[0].encode()) + OVERHEAD <= BATCH_BYTES
    assert packed[1]["bytes"]["StringValue"] == str(len(body))
    assert body.startswith(unpack({"Body": packed[0], "MessageAttributes": packed[1]}))


def test_a_dead_letter_is_whole_where_it_can_be() -> None:
    assert letter_of(b"a" * 200_000, "why") == pack(b"a" * 200_000, cause="why")


def test_a_cloud_event_travels_as_it_is() -> None:
    assert pack(b'{"specversion":"1.0"}', type="OrderPlaced") == (
        '{"specversion":"1.0"}',
        {"type": {"DataType": "String", "StringValue": "OrderPlaced"}},
    )


@given(st.text())
def test_any_cause_is_a_lawful_attribute(cause: str) -> None:
    value = pack(b"{}", cause=cause)[1]["cause"]["StringValue"]
    assert LAWFUL.fullmatch(value)
    assert len(value) <= 1000


@given(st.lists(st.integers(1, BATCH_BYTES), max_size=40))
def test_batches_keep_the_order_and_stay_within_ten_messages_and_256_kib(sizes: list[int]) -> None:
    packed: list[Packed] = [("x" * size, {}) for size in sizes]
    calls = list(batches(packed))
    assert [one for batch in calls for one in batch] == packed
    assert all(1 <= len(batch) <= 10 for batch in calls)
    assert all(len(batch) == 1 or sum(len(text) for text, _ in batch) <= BATCH_BYTES for batch in calls)

"""What SNS and SQS accept in one call, and that whatever bytes go in come out again."""

import re

from hypothesis import given
from hypothesis import strategies as st

from sagakit.modes.sns_sqs.wire import BATCH_BYTES, Packed, cut, pack, unpack

LAWFUL = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")  # XML 1.0, as SQS wants it


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_body_survives_as_lawful_text(body: bytes) -> None:
    text, attributes = pack(body, type="OrderPlaced")
    assert LAWFUL.fullmatch(text)
    assert unpack({"Body": text, "MessageAttributes": attributes}) == body


def test_what_a_stranger_sent_is_delivered_to_be_judged() -> None:
    assert unpack({"Body": "a", "MessageAttributes": {"encoding": {}}}) == b"a"


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
    batches = list(cut(packed))
    assert [one for batch in batches for one in batch] == packed
    assert all(1 <= len(batch) <= 10 for batch in batches)
    assert all(len(batch) == 1 or sum(len(text) for text, _ in batch) <= BATCH_BYTES for batch in batches)

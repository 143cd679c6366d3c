"""What is read from the wire is ours, of our version and tells the truth about its id, or it is refused."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagakit.envelope import Envelope, decode, encode
from sagakit.message import UnknownMessage, Vocabulary
from tests.unit.sagakit_core.toy import SERVICE, Counted

VOCABULARY = SERVICE.wire
GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "a/Counted",
    "source": "/quartet/toy",
    "type": "quartet.Counted.v1",
    "subject": "a",
    "data": {"thing": "a", "by": 2},
}


def read(**changes: Any) -> Envelope:
    return decode(msgspec.json.encode({**GOOD, **changes}), VOCABULARY)


def test_the_least_envelope_is_read() -> None:
    assert read() == Envelope(Counted("a", 2), "toy")


def test_an_envelope_survives_the_wire() -> None:
    sent = Envelope(Counted("a", 2), "toy", "a/Count", datetime(2026, 1, 2, tzinfo=UTC), "00-1-2-01")
    assert decode(encode(sent, VOCABULARY), VOCABULARY) == sent


def test_an_envelope_without_a_time_gets_the_present() -> None:
    before = datetime.now(UTC)
    read_back = decode(encode(Envelope(Counted("a", 2), "toy"), VOCABULARY), VOCABULARY)
    assert read_back.time is not None
    assert before <= read_back.time <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"specversion": "0.3"}, "version '0.3'"),
        ({"specversion": ""}, "version ''"),
        ({"type": "quartet.Counted.v2"}, "unknown type or version"),
        ({"type": "other.Counted.v1"}, "unknown type or version"),
        ({"type": "quartet.Uncounted.v1"}, "unknown message type 'Uncounted'"),
        ({"type": "quartet.BuyRequested.v1"}, "unknown message type 'BuyRequested'"),
        ({"id": "b/Counted"}, "not the derived id"),
        ({"id": "a/Bought"}, "not the derived id"),
        ({"data": {"thing": "a"}}, "by"),
        ({"data": {"thing": "a", "by": "two"}}, "Counted: Expected `int`"),
        ({"data": None}, "Counted"),
        ({"source": 1}, "not a CloudEvent"),
        ({"time": "yesterday"}, "not a CloudEvent"),
    ],
)
def test_what_is_not_ours_is_refused_with_its_reason(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(UnknownMessage, match=why):
        read(**changes)


@pytest.mark.parametrize("missing", ["id", "source", "type", "subject", "data", "specversion"])
def test_a_required_attribute_cannot_be_left_out(missing: str) -> None:
    body = {key: value for key, value in GOOD.items() if key != missing}
    with pytest.raises(UnknownMessage):
        decode(msgspec.json.encode(body), VOCABULARY)


DEEP = msgspec.Raw(b"[" * 1000 + b"]" * 1000)
DEEPER = msgspec.Raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


@pytest.mark.parametrize("deep", [DEEP, DEEPER])
@pytest.mark.parametrize("where", ["data", "subject", "a-field-that-nobody-knows"])
def test_brackets_in_brackets_are_refused_wherever_they_are(where: str, deep: msgspec.Raw) -> None:
    with pytest.raises(UnknownMessage):
        read(**{where: deep})


@pytest.mark.parametrize("where", ["thing", "by", "a-field-that-nobody-knows"])
def test_brackets_in_brackets_are_refused_in_the_data_too(where: str) -> None:
    data = msgspec.json.encode({"thing": "a", "by": 2, where: DEEP})
    with pytest.raises(UnknownMessage):
        VOCABULARY.decode("Counted", data)


@given(st.binary())
def test_no_bytes_raise_anything_but_unknown_message(body: bytes) -> None:
    with pytest.raises(UnknownMessage):
        decode(body, VOCABULARY)


@given(st.text(), st.integers(-(2**63), 2**63 - 1))
def test_every_message_survives_the_wire(thing: str, by: int) -> None:
    vocabulary = Vocabulary((Counted,))
    try:
        body = vocabulary.encode(Counted(thing, by))
    except UnicodeEncodeError:  # a lone surrogate: no JSON can hold it
        return
    assert vocabulary.decode("Counted", body) == Counted(thing, by)


def test_a_vocabulary_refuses_names_it_does_not_know_and_data_that_is_no_json() -> None:
    with pytest.raises(UnknownMessage, match="'Nothing'"):
        VOCABULARY.decode("Nothing", b"{}")
    with pytest.raises(UnknownMessage, match="Counted"):
        VOCABULARY.decode("Counted", b"{")
    with pytest.raises(UnknownMessage, match="Counted"):
        VOCABULARY.decode("Counted", b'{"thing": "\xff", "by": 1}')

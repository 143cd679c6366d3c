"""The wiring and the requests fit Pub/Sub's limits."""

import re

import pytest

from checkout.topology import topology_of
from sagakit.modes.pubsub.leases import Lease
from sagakit.modes.pubsub.topology import dead_letters_of, filter_of, subscription_of, topic_of
from sagakit.modes.pubsub.wire import MOST_BYTES, MOST_MESSAGES, batches, letter_of, message_of, new_message
from sagakit.ports import DeadDelivery, Delivery, OutboxRow
from sagakit.topology import Subscription

STYLES = ("choreography", "orchestration")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._~+%-]{2,254}")


@pytest.mark.parametrize("style", STYLES)
def test_names_are_valid_and_differ(style: str) -> None:
    topology = topology_of(style)
    topics = [topic_of(one) for one in topology.channels]
    topics += [dead_letters_of(topology, one) for one in topology.consumers]
    subscriptions = [subscription_of(one) for one in topology.subscriptions]
    for names in (topics, subscriptions):
        assert len(set(names)) == len(names)
        assert all(NAME.fullmatch(name) and not name.startswith("goog") for name in names)


def test_the_styles_share_no_dead_letters() -> None:
    assert dead_letters_of(topology_of(STYLES[0]), "order") == "quartet-choreography-order-dead-letters"
    assert dead_letters_of(topology_of(STYLES[1]), "order") == "quartet-orchestration-order-dead-letters"


@pytest.mark.parametrize("style", STYLES)
def test_every_filter_is_short_enough_and_names_every_type(style: str) -> None:
    for one in topology_of(style).subscriptions:
        text = filter_of(one)
        assert text
        assert set(re.findall(r'attributes\.type = "(\w+)"', text)) == one.types
        assert re.fullmatch(r'attributes\.type = "\w+"( OR attributes\.type = "\w+")*', text)


def test_a_filter_that_would_be_too_long_is_left_to_the_consumer() -> None:
    assert filter_of(Subscription("any", "a.b", frozenset(f"AVeryLongNameOfAType{n}" for n in range(9)))) == ""


def test_requests_keep_the_order_and_both_limits() -> None:
    messages = [new_message(data=b"x" * (20_000 if n % 7 else 10), message_id=str(n)) for n in range(3000)]
    requests = list(batches(messages))
    assert [one.message_id for batch in requests for one in batch] == [one.message_id for one in messages]
    assert all(len(batch) <= MOST_MESSAGES for batch in requests)
    assert all(sum(one.ByteSize() for one in batch) <= MOST_BYTES for batch in requests)
    assert [len(one) for one in batches([new_message(data=b"x")] * 2500)] == [1000, 1000, 500]


def test_a_message_that_is_too_large_delays_no_other() -> None:
    large, small = new_message(data=b"x" * MOST_BYTES), new_message(data=b"x")
    assert [len(one) for one in batches([small, large, small])] == [1, 1, 1]
    assert list(batches([])) == []


def test_a_dead_letter_is_the_message_with_its_cause_cut_to_the_limit() -> None:
    message = message_of(OutboxRow("1/Made", "test.one", "1", "Made", b"body"))
    lease = Lease("projects/p/subscriptions/quartet-test-one-alpha", "ack", message)
    letter = letter_of(DeadDelivery(Delivery(b"body", lease), "ü" * 1000))
    assert (letter.data, letter.ordering_key, letter.attributes["type"]) == (b"body", "1", "Made")
    assert letter.attributes["subscription"] == "quartet-test-one-alpha"
    assert letter.attributes["cause"] == "ü" * 512


def test_a_dead_letter_of_a_stranger_keeps_to_the_limits() -> None:
    message = new_message(data=b"x" * (MOST_BYTES + 7), attributes={f"a{number}": "v" for number in range(100)})
    letter = letter_of(DeadDelivery(Delivery(message.data, Lease("s/alpha", "ack", message)), "\ud800 why"))
    assert len(letter.attributes) == 100
    assert (letter.attributes["cause"], letter.attributes["subscription"]) == ("? why", "alpha")
    assert (len(letter.data), letter.attributes["bytes"]) == (MOST_BYTES, str(MOST_BYTES + 7))

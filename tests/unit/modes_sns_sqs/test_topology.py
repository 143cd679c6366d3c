"""What a topology becomes on SNS and SQS. The emulator takes any policy: AWS's rules are held here."""

import json

import pytest

from checkout.topology import SUBSCRIPTIONS, topology_of
from sagakit.modes.sns_sqs.topology import QueuePlan, filter_policy, plan, queue_policy, redrive_policy
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION, Subscription, Topology

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:quartet-choreography-order"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:quartet-choreography-events"
TYPES = frozenset({"A"})
STYLES = (CHOREOGRAPHY, ORCHESTRATION)


def of(style: str) -> QueuePlan:
    return plan(topology_of(style))


def test_choreography_is_one_topic_and_a_queue_per_consumer() -> None:
    queue_plan = of(CHOREOGRAPHY)
    assert set(queue_plan.targets.values()) == queue_plan.topics == {"quartet-choreography-events"}
    assert queue_plan.consumed == {service: f"quartet-choreography-{service}" for service in SUBSCRIPTIONS}
    assert {queue.name for queue in queue_plan.queues} == set(queue_plan.consumed.values())


def test_commands_go_straight_to_their_owners_queue_and_events_through_the_topic_to_the_orchestrator() -> None:
    queue_plan = of(ORCHESTRATION)
    for service in ("inventory", "payment", "shipping"):
        assert queue_plan.targets[f"orchestration.{service}.commands"] == f"quartet-orchestration-{service}"
        assert queue_plan.targets[f"orchestration.{service}.events"] == "quartet-orchestration-events"
    subscribed = {queue.name for queue in queue_plan.queues if queue.types}
    assert subscribed == {"quartet-orchestration-order"}


def test_each_queue_is_sent_exactly_the_types_that_its_consumer_subscribed_to() -> None:
    by_name = {queue.name: queue for queue in of(CHOREOGRAPHY).queues}
    for service, types in SUBSCRIPTIONS.items():
        ((topic, filtered),) = by_name[f"quartet-choreography-{service}"].types.items()
        assert topic == "quartet-choreography-events"
        assert json.loads(filter_policy(filtered)) == {"type": sorted(kind.__name__ for kind in types)}


@pytest.mark.parametrize("style", STYLES)
def test_filter_policies_are_valid_on_aws(style: str) -> None:
    """Attribute scope: an object of at most 5 keys, each a non-empty list, 150 in all, 256 KiB."""
    for text in [filter_policy(types) for queue in of(style).queues for types in queue.types.values()]:
        policy = json.loads(text)
        assert isinstance(policy, dict)
        assert 1 <= len(policy) <= 5
        assert all(isinstance(values, list) and 1 <= len(values) <= 150 for values in policy.values())
        assert all(isinstance(value, str) and value for values in policy.values() for value in values)
        assert all(len(set(values)) == len(values) for values in policy.values())
        assert len(text.encode()) <= 256 * 1024


@pytest.mark.parametrize("style", STYLES)
def test_names_are_valid_on_aws(style: str) -> None:
    queue_plan = of(style)
    names = [
        *queue_plan.topics,
        *(f"{queue.name}{kind}" for queue in queue_plan.queues for kind in ("", "-dead-letters", "-undelivered")),
    ]
    assert all(len(name) <= 80 and name.replace("-", "").replace("_", "").isalnum() for name in names)


@pytest.mark.parametrize(("attempts", "receives"), [(1, 2), (2, 4), (5, 10)])
def test_a_message_received_but_once_is_never_given_up_by_the_broker(attempts: int, receives: int) -> None:
    assert json.loads(redrive_policy(QUEUE, attempts)) == {
        "deadLetterTargetArn": QUEUE,
        "maxReceiveCount": receives,
    }


def test_only_its_topics_may_send_to_a_queue_of_events() -> None:
    (statement,) = json.loads(queue_policy(QUEUE, [TOPIC]))["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == QUEUE
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": [TOPIC]}}


def test_a_channel_of_another_name_is_a_topic_of_its_own() -> None:
    queue_plan = plan(Topology((Subscription("a", "x.s.one", TYPES), Subscription("a", "x.s.two", TYPES))))
    assert queue_plan.targets == {"x.s.one": "quartet-x-s-one", "x.s.two": "quartet-x-s-two"}
    assert [queue.types for queue in queue_plan.queues] == [dict.fromkeys(queue_plan.targets.values(), TYPES)]


def test_commands_with_two_owners_are_refused() -> None:
    with pytest.raises(ValueError, match="one owner"):
        plan(Topology(tuple(Subscription(name, "x.s.commands", TYPES) for name in "ab")))


def test_a_consumer_of_two_styles_is_refused() -> None:
    both = topology_of(CHOREOGRAPHY).subscriptions + topology_of(ORCHESTRATION).subscriptions
    with pytest.raises(ValueError, match="cannot consume"):
        plan(Topology(both))

"""A participant's process crashes around its call to a provider: the call is retried, and has one effect."""

import pytest

from tests.e2e.failpoints import arm, judge, pid, reborn
from tests.e2e.stack import Stack, basket

MODES = ("temporal-orchestration", "kafka-choreography", "sns-sqs-choreography", "pubsub-choreography")
"""One for each way that deliveries come: the calls themselves are made alike in all modes."""


def suits(stack: str, **_: object) -> bool:
    return stack in MODES


def nightly(stack: str, point: str, **_: object) -> bool:
    """The calls run in one mode, redelivery over every broker; the others are nightly."""
    return stack != "kafka-choreography" and point != "before-ack"


pytestmark = pytest.mark.usefixtures("disarmed")


@pytest.mark.parametrize(
    ("point", "hit"),
    [("before-call", 1), ("after-call", 1), ("after-call", 2), ("before-ack", 1)],
    ids=["before-authorize", "after-authorize", "after-capture", "before-ack"],
)
async def test_an_order_survives_a_crash_of_the_payment_service(stack: Stack, point: str, hit: int) -> None:
    before = pid(stack, "payment")
    await arm(stack, "payment", {"point": point, "action": "kill", "hit": hit})
    answer = await stack.order(basket(), wait=None)
    assert answer.status_code == 202, answer.text
    await reborn(stack, "payment", before)
    await judge(stack, answer.json()["order_id"])

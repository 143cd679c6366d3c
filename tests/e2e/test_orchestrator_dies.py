"""The orchestrator's process crashes between any two of its steps: the saga continues from the stored row.

Crashes of participants are in test_participant_dies.py, for both styles.
"""

import pytest

from sagakit.modes import MODES
from sagakit.topology import ORCHESTRATION
from tests.e2e.failpoints import arm, judge, one_answer_at_a_time, pid, reborn
from tests.e2e.stack import Stack, basket

pytestmark = pytest.mark.usefixtures("disarmed")

STEPS = (
    "the order is accepted",
    "the stock is reserved",
    "the payment is authorized",
    "the order is confirmed",
    "the first settling answer is recorded",
    "the second settling answer is recorded",
    "the third settling answer is recorded",
)
"""The commits of the order service during a checkout over a broker."""
WALKED_BY_A_WORKFLOW = ("the stock is reserved", "the payment is authorized")
"""Temporal keeps these in the workflow's history; they are no commits there."""


def suits(stack: str, step: str = "", **_: object) -> bool:
    """The modes with an orchestrator, with the commits that it makes there."""
    walked = MODES[stack].substrate == "temporal" and step in WALKED_BY_A_WORKFLOW
    return MODES[stack].style == ORCHESTRATION and not walked


def nightly(stack: str, point: str = "", **_: object) -> bool:
    """The orchestrator is the same code over each broker: all of its steps run over one, and over the others only
    publishing and receiving, in which brokers differ."""
    return stack in ("sns-sqs-orchestration", "pubsub-orchestration") and not point


def commits(stack: Stack) -> list[str]:
    return [step for step in STEPS if suits(stack.mode, step)]


async def _survives(stack: Stack, point: str, hit: int) -> None:
    before = pid(stack, "order")
    await one_answer_at_a_time(stack)
    await arm(stack, "order", {"point": point, "action": "kill", "hit": hit})
    answer = await stack.order(basket(), wait=None)
    assert answer.status_code == 202, answer.text
    await reborn(stack, "order", before)
    await judge(stack, answer.json()["order_id"])


@pytest.mark.parametrize("step", STEPS)
async def test_an_order_survives_a_crash_after_the_commit_of(stack: Stack, step: str) -> None:
    await _survives(stack, "after-commit", commits(stack).index(step) + 1)


@pytest.mark.parametrize("point", ["before-commit", "before-publish", "after-publish", "before-ack"])
async def test_an_order_survives_a_crash_at(stack: Stack, point: str) -> None:
    await _survives(stack, point, 1)


async def test_an_order_survives_a_crash_before_the_pivot_is_committed(stack: Stack) -> None:
    await _survives(stack, "before-commit", commits(stack).index("the order is confirmed") + 1)

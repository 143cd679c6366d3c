"""Messages are duplicated, delayed, reordered and delivered to two consumers at once; every order completes once."""

import asyncio
import random
from typing import Final

from sagakit.modes.unreliable import KINDS
from tests.chaos.faults.messages import FAULTS
from tests.chaos.stack import StackUnderTest
from tests.e2e.failpoints import DONE
from tests.e2e.stack import Stack, basket

SECONDS: Final = 3.0
ORDERS: Final = 4
ONE_OF_A_CARRIER: Final = (
    "temporal-choreography",
    "kafka-choreography",
    "sns-sqs-orchestration",
    "pubsub-choreography",
)


def nightly(stack: str, **_: object) -> bool:
    """One mode of each broker runs each time, the others nightly."""
    return stack not in ONE_OF_A_CARRIER


def _rounds(stack: StackUnderTest) -> list[list[tuple[str, str]]]:
    """The (kind, service) pairs in force at a time: each service has another kind, if all publish."""
    services = FAULTS[KINDS[0]].targets(stack)
    if len(services) == len(KINDS):
        return [list(zip(KINDS, services, strict=True))]
    return [[(kind, services[0])] for kind in KINDS]


async def test_messages_twice_late_overtaken_and_at_two_consumers_change_no_order(stack: Stack) -> None:
    """The audit at the end of the mode covers these orders."""
    system = StackUnderTest(stack.mode, stack.folder, stack.environment)
    for together in _rounds(system):
        injecting = [
            asyncio.create_task(FAULTS[kind].inject(system, service, SECONDS, random.Random(1)))
            for kind, service in together
        ]
        answers = await asyncio.gather(*(stack.order(basket()) for _ in range(ORDERS)))
        assert [one for one in await asyncio.gather(*injecting) if one.felt is not True] == []
        for answer in answers:
            order = await stack.settled(answer.json()["order_id"])
            assert order["status"] == "COMPLETED", order
            entries = await stack.get(f"/ledger?order_id={order['order_id']}", "provider", "root", "admin")
            assert sorted((one["operation"], one["outcome"]) for one in entries["items"]) == DONE

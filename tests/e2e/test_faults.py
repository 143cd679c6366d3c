"""Processes are killed during sagas, one after the other: everything settles by itself, and the audit is clean."""

import pytest

from quartet_stack import api
from sagakit.modes import MODES
from tests.e2e.shop import Shop, audit
from tests.e2e.stack import SERVICES, Stack

BROKERS = {"temporal": "temporal", "kafka": "kafka", "sns_sqs": "ministack", "pubsub": "pubsub"}
GROUND = ("the broker", "provider", "order-db", "payment-db")


ONE_OF_A_CARRIER = ("temporal-orchestration", "kafka-choreography", "sns-sqs-orchestration", "pubsub-choreography")


def nightly(stack: str, victims: tuple[str, ...] = SERVICES) -> bool:
    """Servers are killed in one mode of each broker, services in every mode; all else is nightly."""
    return victims == GROUND and stack not in ONE_OF_A_CARRIER


@pytest.mark.parametrize("victims", [SERVICES, GROUND], ids=["services", "what they stand on"])
async def test_orders_survive_a_kill_of_each_process(stack: Stack, victims: tuple[str, ...]) -> None:
    """The next process is killed when good orders complete again, which need all of them."""
    shop = Shop(stack, period=0.4)
    async with shop.open():
        for name in victims:
            victim = BROKERS[MODES[stack.mode].substrate] if name == "the broker" else name
            before = api.processes(stack.folder)[victim]
            await shop.buy("slow")
            stack.kill(victim)
            await shop.recovers()
            assert api.processes(stack.folder)[victim] != before
    await shop.judge(90, late=True)


async def test_the_audit_is_clean(stack: Stack) -> None:
    """Last: the audit of everything that the tests of this mode have done."""
    await audit(stack)

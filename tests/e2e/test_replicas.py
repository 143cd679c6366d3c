"""Two replicas of every service under load: some are killed, then all are restarted one by one; no client notices.

In one mode of each broker, two of each style: what replicas share (groups, leases, rows) does not differ further.
"""

import asyncio
from dataclasses import replace
from typing import Final

import pytest

from quartet_stack import api
from tests.e2e.conftest import FOLDER, OFFSET, SETTINGS
from tests.e2e.shop import Shop
from tests.e2e.stack import SERVICES, Stack

PATIENT: Final = {**SETTINGS, "REPLICAS": "2", "SAGA_DEADLINE": "60"}
"""No order may hide behind its deadline: a good one has to complete."""


MODES: Final = ("temporal-orchestration", "kafka-choreography", "sns-sqs-choreography", "pubsub-orchestration")


def suits(stack: str, **_: object) -> bool:
    return stack in MODES


def nightly(stack: str, **_: object) -> bool:
    """One mode of each style runs each time: each transport's conformance suite tests that replicas share messages."""
    return stack not in ("temporal-orchestration", "kafka-choreography")


@pytest.mark.timeout(240)
async def test_replicas_are_killed_and_restarted_under_load(stack: Stack) -> None:
    environment = await asyncio.to_thread(api.up, stack.mode, FOLDER, OFFSET, PATIENT)
    shop = Shop(replace(stack, environment=environment), period=0.5)
    before = _replicas()
    assert len(before) == 2 * len(SERVICES)
    async with shop.open():
        await shop.serves()
        for service in SERVICES:
            stack.kill(f"{service}-1")
        await shop.serves()
        await asyncio.to_thread(api.roll, *SERVICES, stack_dir=FOLDER)
    after = _replicas()
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    await shop.judge(90)


def _replicas() -> dict[str, int]:
    names = [f"{service}-{number}" for service in SERVICES for number in (1, 2, 3)]
    return {name: pid for name, pid in api.processes(FOLDER).items() if name in names}

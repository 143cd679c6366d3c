"""The mode is switched repeatedly under load: each mode continues the orders in flight.

On a stack of its own, after those of all modes.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from quartet_stack import api
from sagakit.modes import MODES
from tests.e2e.conftest import FOLDER, OFFSET, SETTINGS
from tests.e2e.shop import Shop, audit
from tests.e2e.stack import Stack

OWN: Final = FOLDER.with_name(f"{FOLDER.name}-switching")
PATIENT: Final = {**SETTINGS, "SAGA_DEADLINE": "120"}
"""No order may hide behind its deadline: a good one has to complete, however many switches it lives through."""

ONE_OF_A_CARRIER: Final = (
    "temporal-orchestration",
    "kafka-choreography",
    "sns-sqs-orchestration",
    "pubsub-choreography",
)
STAY: Final = 2.0


@pytest.fixture
def switching_stack() -> Iterator[None]:
    """One stack at a time is enough for a machine."""
    api.down(stack_dir=FOLDER, delete_data=True)
    yield
    api.down(stack_dir=OWN, delete_data=True)


def _up(mode: str) -> dict[str, str]:
    return api.up(mode, stack_dir=OWN, port_offset=OFFSET, env=PATIENT)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "modes", [ONE_OF_A_CARRIER, pytest.param(tuple(MODES), marks=pytest.mark.nightly)], ids=["carriers", "all"]
)
async def test_nothing_is_lost_while_the_mode_is_switched_under_load(
    switching_stack: None, modes: tuple[str, ...]
) -> None:
    first, *others = modes
    stack = Stack(first, OWN, await asyncio.to_thread(_up, first), timeout=120)
    shop = Shop(stack)
    async with shop.open():
        for mode in (*others, first):
            await asyncio.sleep(STAY)
            in_flight = [await shop.buy("slow") for _ in range(3)]
            assert {order["status"] for order in in_flight} == {"PENDING"}
            await asyncio.to_thread(_up, mode)
            order = await shop.serves()  # the mode works, with the orders that it took over, before the next switch
            assert order["mode"] == mode
        await asyncio.sleep(STAY)
    await shop.judge(120)
    await audit(stack)


async def test_the_services_work_in_the_old_mode_until_the_new_broker_answers(switching_stack: None) -> None:
    old, new = "pubsub-choreography", "kafka-choreography"
    stack = Stack(old, OWN, await asyncio.to_thread(_up, old))
    switching = asyncio.create_task(asyncio.to_thread(_up, new))
    answers: list[tuple[str, bool]] = []  # the mode in which the order service serves, and whether the broker answers
    async with stack.client() as client:
        while not switching.done():
            answers.append((await _mode(client), await _listens(int(stack.environment["KAFKA_PORT"]))))
            await asyncio.wait({switching}, timeout=0.05)
    await switching
    assert (old, True) in answers, sorted(set(answers))


async def _mode(client: httpx.AsyncClient) -> str:
    """The mode in which the order service serves; empty while it does not serve."""
    try:
        return str((await client.get("/health/live")).json()["mode"])
    except httpx.TransportError:
        return ""


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True

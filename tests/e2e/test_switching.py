"""The mode is switched again and again under a shop that stays open: what is in flight is carried on by the next mode.

On a stack of its own, after those of all modes.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from native_stack import api
from native_stack.settings import stack_environment
from tests.e2e.conftest import CHOSEN, FOLDER, OFFSET, SETTINGS
from tests.e2e.stack import SERVICES, Stack, basket

OWN: Final = FOLDER.with_name(f"{FOLDER.name}-switching")
PATIENT: Final = {**SETTINGS, "SAGA_DEADLINE": "120"}
"""No order may hide behind its deadline: a good one has to complete, however many switches it lives through."""

PERIOD: Final = 0.25
STAY: Final = 2.0
KINDS: Final = {
    "good": (basket(quantity=2), None),
    "flaky": (basket(token="tok_flaky"), None),
    "declined": (basket(token="tok_declined"), "PAYMENT_DECLINED"),
    "undeliverable": (basket(country="AQ"), "SHIPPING_UNAVAILABLE"),
    "slow": (basket(token="tok_slow"), None),
    "sold out": (basket(sku="sold-out"), "OUT_OF_STOCK"),
}


@pytest.fixture
def folder() -> Iterator[None]:
    """One stack at a time is enough for a machine."""
    api.down(stack_dir=FOLDER, delete_data=True)
    yield
    api.down(stack_dir=OWN, delete_data=True)


@dataclass
class Shop:
    """Places an order of some kind every PERIOD seconds, each until it is accepted; order id -> kind."""

    stack: Stack
    accepted: dict[str, str] = field(default_factory=dict)
    attempts: int = 0

    async def buy(self, kind: str) -> Any:
        self.attempts += 1
        answer = await self.stack.order(KINDS[kind][0], wait=None)
        assert answer.status_code == 202, answer.text
        self.accepted[answer.json()["order_id"]] = kind
        return answer.json()

    async def open(self, closing: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as customers:
            while not closing.is_set():
                kinds = tuple(KINDS)
                customers.create_task(self.buy(kinds[self.attempts % len(kinds)]))
                await asyncio.sleep(PERIOD)


def _up(mode: str) -> dict[str, str]:
    return api.up(mode, stack_dir=OWN, port_offset=OFFSET, env=PATIENT)


@pytest.mark.timeout(600)
async def test_nothing_is_lost_while_the_mode_is_switched_under_load(folder: None) -> None:
    first, *others = CHOSEN
    stack = Stack(first, OWN, await asyncio.to_thread(_up, first), timeout=120)
    shop, closing = Shop(stack), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shop.open(closing))
        try:
            for mode in (*others, first):
                await asyncio.sleep(STAY)
                in_flight = [await shop.buy("slow") for _ in range(3)]
                assert {order["status"] for order in in_flight} == {"PENDING"}
                await asyncio.to_thread(_up, mode)
                order = await shop.buy("good")  # the mode works, with all that it took over, before it has to go
                assert order["mode"] == mode
                assert (await stack.settled(order["order_id"]))["status"] == "COMPLETED"
            await asyncio.sleep(STAY)
        finally:
            closing.set()
    orders = await asyncio.gather(*(stack.settled(order_id, 120) for order_id in shop.accepted))
    assert len(orders) == shop.attempts
    astray = [order for order in orders if not _as_it_must(order, shop.accepted[order["order_id"]])]
    assert not astray, "\n\n".join([await _story(stack, order) for order in astray[:4]])
    audit = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "checkout_audit"],
        env={**os.environ, **stack_environment(OWN), "FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert json.loads(audit.stdout)


def _as_it_must(order: Any, kind: str) -> bool:
    reason = KINDS[kind][1]
    return (order["status"], order["cancellation_reason"]) == ("CANCELLED" if reason else "COMPLETED", reason)


async def _story(stack: Stack, order: Any) -> str:
    """What all services have to say about an order, one line for each thing that happened."""
    lines = []
    for service in SERVICES:
        told = await stack.get(f"/timeline/{order['order_id']}", service) or {"items": []}
        lines += [
            f"{one['at']} {service}: {one['message']} ({one['kind']}, by {one['cause']})" for one in told["items"]
        ]
    return "\n".join([f"{order}", *sorted(lines)])

"""A load of orders of every kind, each retried until accepted, while a test disturbs the stack."""

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from quartet_stack.settings import stack_environment
from tests.e2e.stack import SERVICES, Stack, basket

KINDS: Final = {
    "good": (basket(quantity=2), None),
    "flaky": (basket(token="tok_flaky"), None),
    "declined": (basket(token="tok_declined"), "PAYMENT_DECLINED"),
    "undeliverable": (basket(country="AQ"), "SHIPPING_UNAVAILABLE"),
    "slow": (basket(token="tok_slow"), None),
    "sold out": (basket(sku="sold-out"), "OUT_OF_STOCK"),
}
"""Kind -> the order, and the reason for which it must be cancelled; None: it must complete."""

IN_HAND: Final = 10
"""Customers at a time: each waits until the order has settled. A stack with little of the machine gets fewer orders.

Without that bound a slow stack gets more orders than it ends, and from then on each good order meets its deadline.
"""


@dataclass
class Shop:
    """Places an order of some kind every `period` seconds while fewer than IN_HAND have not settled.

    Each is retried until accepted; `accepted`: order id -> kind.
    """

    stack: Stack
    period: float = 0.25
    accepted: dict[str, str] = field(default_factory=dict)
    attempts: int = 0

    async def buy(self, kind: str) -> Any:
        self.attempts += 1
        answer = await self.stack.order(KINDS[kind][0], wait=None)
        assert answer.status_code == 202, answer.text
        self.accepted[answer.json()["order_id"]] = kind
        return answer.json()

    async def serves(self) -> Any:
        """Assert that a new good order completes; returns it as it was accepted."""
        order = await self.buy("good")
        assert (await self.stack.settled(order["order_id"]))["status"] == "COMPLETED"
        return order

    async def recovers(self, seconds: float = 60) -> None:
        """Wait until a new good order completes: earlier ones may have met their deadline."""
        async with asyncio.timeout(seconds):
            while (await self.stack.settled((await self.buy("good"))["order_id"]))["status"] != "COMPLETED":
                pass

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Place orders while the block runs; all have their answer at its end."""
        closing = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve(closing))
            try:
                yield
            finally:
                closing.set()

    async def _serve(self, closing: asyncio.Event) -> None:
        in_hand, kinds = asyncio.Semaphore(IN_HAND), itertools.cycle(KINDS)
        async with asyncio.TaskGroup() as customers:
            while not closing.is_set():
                if not in_hand.locked():
                    customers.create_task(self._customer(next(kinds), in_hand))
                await asyncio.sleep(self.period)

    async def _customer(self, kind: str, in_hand: asyncio.Semaphore) -> None:
        async with in_hand:
            order = await self.buy(kind)
            with contextlib.suppress(TimeoutError):  # `judge` says what has become of it
                await self.stack.settled(order["order_id"], pause=0.5)

    async def judge(self, seconds: float, late: bool = False) -> None:
        """Assert that every accepted order settles as its kind must; `late`: or at its deadline."""
        orders = await asyncio.gather(*(self.stack.settled(order_id, seconds) for order_id in self.accepted))
        assert len(orders) == self.attempts
        astray = [
            order
            for order in orders
            if not _as_it_must(order, self.accepted[order["order_id"]])
            and not (late and order["cancellation_reason"] == "TIMED_OUT")
        ]
        assert not astray, "\n\n".join([await _story(self.stack, order) for order in astray[:4]])


async def audit(stack: Stack) -> None:
    """Assert that the audit of a stack is clean."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "checkout_audit"],
        env={**os.environ, **stack_environment(stack.folder), "FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)


def _as_it_must(order: Any, kind: str) -> bool:
    reason = KINDS[kind][1]
    return (order["status"], order["cancellation_reason"]) == ("CANCELLED" if reason else "COMPLETED", reason)


async def _story(stack: Stack, order: Any) -> str:
    """The timeline of an order over all services, one line for each entry."""
    lines = []
    for service in SERVICES:
        timeline = await stack.get(f"/timeline/{order['order_id']}", service) or {"items": []}
        lines += [
            f"{one['at']} {service}: {one['message']} ({one['kind']}, by {one['cause']})" for one in timeline["items"]
        ]
    return "\n".join([f"{order}", *sorted(lines)])

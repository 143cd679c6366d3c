"""Crashes at named points: set one, wait for the crash, and judge the order."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from quartet_stack import api
from tests.e2e.stack import SERVICES, Stack

DONE: Final = [("authorize", "ok"), ("book", "ok"), ("capture", "ok"), ("dispatch", "ok")]


async def arm(stack: Stack, service: str, *failpoints: Mapping[str, Any]) -> None:
    """Replace the failpoints of a service."""
    path, headers = "/faults", stack.headers("root", "admin")
    answer = await stack.insist("PUT", path, headers, {"set": failpoints}, service=service)
    assert answer.status_code == 200, answer.text


async def disarm(stack: Stack) -> None:
    await asyncio.gather(*(arm(stack, service) for service in SERVICES))


async def one_answer_at_a_time(stack: Stack) -> None:
    """Spread the three settling answers of the next order: otherwise one transaction may record two of them."""
    slow = {"point": "before-call", "action": "stall", "hit": 2}
    await arm(stack, "payment", {**slow, "seconds": 0.2})
    await arm(stack, "shipping", {**slow, "seconds": 0.4})


def pid(stack: Stack, service: str) -> int:
    return api.processes(stack.folder).get(service, 0)


async def reborn(stack: Stack, service: str, before: int, seconds: float = 60) -> None:
    """Wait until the successor of `before` is ready."""
    async with asyncio.timeout(seconds):
        while True:
            if pid(stack, service) not in (0, before):
                break
            await asyncio.sleep(0.2)
    await stack.ready(service)


async def judge(stack: Stack, order_id: str) -> Any:
    """Wait until the order has settled: completed, or timed out at its deadline, with each effect at most once."""
    order = await stack.settled(order_id)
    entries = await stack.get(f"/ledger?order_id={order_id}", "provider", "root", "admin")
    deeds = sorted((one["operation"], one["outcome"]) for one in entries["items"])
    print(f"{stack.mode}: {order['status']} {order['cancellation_reason'] or ''}")  # pytest -rP tells
    if order["status"] == "COMPLETED":
        assert deeds == DONE
        return order
    assert order["cancellation_reason"] == "TIMED_OUT", order
    timeline = await stack.get(f"/timeline/{order_id}")
    at = {one["message"]: datetime.fromisoformat(one["at"]) for one in timeline["items"]}
    assert (at["OrderCancelled"] - at["OrderPlaced"]).total_seconds() >= float(stack.environment["SAGA_DEADLINE"])
    assert set(deeds) <= {(operation, "ok") for operation in ("authorize", "void", "book", "cancel")}
    for do, undo in (("authorize", "void"), ("book", "cancel")):
        assert deeds.count((do, "ok")) == deeds.count((undo, "ok")) <= 1
    return order

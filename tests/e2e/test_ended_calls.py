"""The provider is silent, an operator ends its calls: the orders settle, and the audit shows what it did."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from quartet_stack.settings import stack_environment
from tests.e2e.shop import audit
from tests.e2e.stack import Stack, basket

MONEY = 6
BECAUSE = {"outcome": "declined", "reason": "their hotline says that it was declined"}


def suits(stack: str, **_: object) -> bool:
    return stack == "kafka-choreography"


async def faults(stack: Stack, **given: Any) -> None:
    answer = await stack.insist("PUT", "/faults", stack.headers("root", "admin"), given, service="provider")
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def healed(stack: Stack) -> AsyncIterator[None]:
    """Let the provider answer again, after the test."""
    yield
    await faults(stack)


async def deeds(stack: Stack, order_id: str) -> list[str]:
    entries = await stack.get(f"/ledger?order_id={order_id}", "provider", "root", "admin")
    return [f"{one['operation']} {one['outcome']}" for one in entries["items"]]


async def ended(stack: Stack) -> str:
    """An order whose authorization gets no answer, until an operator ends the call and the order settles."""
    order_id = (await stack.order(basket(), wait=None)).json()["order_id"]
    path, headers = f"/attention/{order_id}/authorize/resolve", stack.headers("root", "admin")
    async with asyncio.timeout(30):
        while True:
            answer = await stack.insist("POST", path, headers, BECAUSE, service="payment")
            if answer.status_code == 200:
                break
            assert answer.status_code == 404, answer.text  # it has not been tried yet
            await asyncio.sleep(0.1)
    order = await stack.settled(order_id)
    assert order["status"] == "CANCELLED"
    assert order["cancellation_reason"] in ("PAYMENT_DECLINED", "TIMED_OUT")
    payment = await stack.get(f"/payments/{order_id}", "payment")
    assert payment["status"] in ("DECLINED", "VOIDED")
    return order_id


async def violations(stack: Stack) -> dict[int, set[str]]:
    """The numbers of the invariants that are violated, with the orders."""
    environment = {**os.environ, **stack_environment(stack.folder), "FORMAT": "json", "AUDIT_WAIT": "5"}
    words = [sys.executable, "-m", "checkout_audit"]
    done = await asyncio.to_thread(subprocess.run, words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    violated = [one for one in json.loads(done.stdout)["invariants"] if one["violations"]]
    return {one["number"]: {violation["subject"] for violation in one["found"]} for one in violated}


async def test_an_order_whose_authorization_was_ended_settles_and_a_late_effect_is_voided(
    stack: Stack, healed: None
) -> None:
    await faults(stack, fail_operations=["authorize"])
    without = await ended(stack)
    assert await deeds(stack, without) == []
    await audit(stack)
    await faults(stack, lose_answers=1.0)
    effect = await ended(stack)
    assert await deeds(stack, effect) == ["authorize ok"]
    violated = await violations(stack)
    assert violated.keys() == {MONEY}, violated
    assert effect in violated[MONEY] <= {effect, without}, "the first one may have been authorized by now"
    await faults(stack)
    async with asyncio.timeout(30):
        for order_id in (without, effect):
            while True:
                if await deeds(stack, order_id) == ["authorize ok", "void ok"]:
                    break
                await asyncio.sleep(0.2)
    await audit(stack)

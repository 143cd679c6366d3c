"""Places orders without Locust, whose own start takes seconds: many at once that wait, or one to wait for."""

import asyncio
import random
import time
import uuid
from collections.abc import Mapping
from typing import Final

import aiohttp
import httpx

from loadtests.shoppers import body, mix
from quartet_stack.errors import StackError
from sagakit.web.app import issue_token

CLIENTS: Final = 50
ACCEPTED: Final = 202
DONE: Final = 200


def one_order(stack: Mapping[str, str], patience: float = 60.0) -> None:
    """Place a good order, and wait until it has completed.

    Raises:
        StackError: It has not completed in time.
    """
    (good,) = mix("good")
    token = issue_token(stack["TOKEN_SIGNING_KEY"], "first", ttl=86400)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex, "Prefer": "wait=20"}
    order, until = body(good, random.Random(1)), time.monotonic() + patience
    while time.monotonic() < until:
        answer = httpx.post(f"{stack['ORDER_URL']}/orders", json=order, headers=headers, timeout=30)
        if answer.status_code == DONE and answer.json()["status"] == "COMPLETED":
            return
    raise StackError(f"the first order has not completed within {patience:g} s")


async def place(stack: Mapping[str, str], orders: int, seconds: float) -> int:
    """Place good orders until there are so many or the time is over; returns how many were accepted."""
    dice, run_id = random.Random(orders), uuid.uuid4().hex[:8]
    (good,) = mix("good")
    token = issue_token(stack["TOKEN_SIGNING_KEY"], "backlog", ttl=86400)
    until, numbers, accepted = time.monotonic() + seconds, iter(range(orders)), 0

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal accepted
        for number in numbers:
            if time.monotonic() > until:
                return
            headers = {"Idempotency-Key": f"backlog-{run_id}-{number}"}
            async with session.post("/orders", json=body(good, dice), headers=headers) as answer:
                await answer.read()
                accepted += answer.status == ACCEPTED

    headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=0"}
    async with aiohttp.ClientSession(stack["ORDER_URL"], headers=headers) as session, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client(session))
    return accepted

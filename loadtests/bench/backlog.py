"""Places many orders at once and does not wait for them, so that they wait."""

import asyncio
import random
import time
import uuid
from collections.abc import Mapping
from typing import Final

import aiohttp

from loadtests.shoppers import body, mix
from sagakit.web.app import issue_token

CLIENTS: Final = 50
ACCEPTED: Final = 202


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

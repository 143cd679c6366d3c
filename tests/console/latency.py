"""`python -m tests.console.latency` measures how soon a saga's page gets each step of an order of the running stack.

It places orders one after another, follows each at the console as a browser does, and prints the median, the 95th
percentile and the maximum of the time from a step's entry in a journal to its arrival. ORDERS=20 says how many.
"""

import asyncio
import os
import re
import sys
import time
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

import httpx

from checkout_demo.stories import basket
from loadtests.outcomes import share
from quartet_stack.commands.console import link
from quartet_stack.settings import stack_environment
from sagakit.web.app import issue_token

STEP: Final = re.compile(r'id="m-(\w+)".{0,200}?datetime="([^"]+)"', re.DOTALL)


async def latencies(client: httpx.AsyncClient, order_url: str, headers: dict[str, str]) -> AsyncIterator[float]:
    """Place one order, and yield the seconds that each of its steps took to arrive after the page was open."""
    key = {**headers, "Idempotency-Key": uuid.uuid4().hex}
    placed = await client.post(f"{order_url}/orders", json=basket()[0].body(), headers=key)
    order_id = placed.raise_for_status().json()["order_id"]
    seen: set[str] = set()
    opened = time.time()
    async with client.stream("GET", f"/orders/{order_id}/live?detail=all") as stream:
        event = ""
        async for line in stream.aiter_lines():
            if line:
                event += line.removeprefix("data: ") + "\n"
                continue
            now = time.time()
            for name, at in STEP.findall(event):
                if name not in seen:
                    seen.add(name)
                    written = datetime.fromisoformat(at).timestamp()
                    if written >= opened:
                        yield now - written
            if "event: done" in event:
                return
            event = ""


async def main() -> int:
    """Measure and print; the exit status."""
    stack = stack_environment()
    base, _, code = link(stack, "latency").partition("/sign-in?code=")
    headers = {"Authorization": f"Bearer {issue_token(stack['TOKEN_SIGNING_KEY'], 'latency')}"}
    found: list[float] = []
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        answer = await client.post("/sign-in", data={"code": code})
        if answer.status_code != 303:
            print(f"the console does not sign in: {answer.status_code}", file=sys.stderr)
            return 2
        for _ in range(int(os.environ.get("ORDERS", "20"))):
            found += [one async for one in latencies(client, stack["ORDER_URL"], headers)]
    milliseconds = sorted(1000 * one for one in found)
    print(
        f"{stack['COORDINATION_MODE']}: {len(found)} steps, median {share(milliseconds, 0.5):.0f} ms, "
        f"p95 {share(milliseconds, 0.95):.0f} ms, maximum {milliseconds[-1]:.0f} ms"
    )
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

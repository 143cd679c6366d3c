"""A service that was started in another mode than its stack: both sides say so once the time for a switch is over."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quartet_stack import api
from quartet_stack.processes.health import describe
from tests.e2e.stack import Stack

OTHER = "kafka-orchestration"


def suits(stack: str, **_: object) -> bool:
    return stack == "kafka-choreography"


def nightly(**_: object) -> bool:
    """It waits until a disagreement has lasted for 30 s."""
    return True


@contextmanager
def payment_in(mode: str, stack: Stack) -> Iterator[None]:
    """Payment runs in that mode, started by hand in the place of the stack's own."""
    pid = api.processes(stack.folder)["payment"]
    environment = dict(pair.split("=", 1) for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if pair)
    api.stop("payment", stack.folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "payment_service"], env={**environment, "COORDINATION_MODE": mode}
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
        api.start("payment", stack.folder)


async def reason(stack: Stack, service: str) -> str:
    async with stack.client(service) as client:
        answer: Any = (await client.get("/health/ready")).json()
        return str(answer.get("reason", ""))


async def test_both_sides_name_the_other_mode(stack: Stack) -> None:
    with payment_in(OTHER, stack):
        async with asyncio.timeout(90):
            while await reason(stack, "order") != f"payment runs in {OTHER}":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.5)
            while f"order runs in {stack.mode}" not in await reason(stack, "payment"):  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        lines = list(describe(stack.environment))
        assert f"order is not ready: payment runs in {OTHER}" in lines
        assert f"payment runs in {OTHER}, the stack in {stack.mode}; for one mode: make up MODE={stack.mode}" in lines
    for service in ("payment", "order", "inventory", "shipping"):
        await stack.ready(service)

"""Kills services under a steady load of good orders, and measures the recovery from each kill."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from math import inf
from typing import Final
from uuid import uuid4

import httpx

from tests.e2e.stack import ENDED, SERVICES, Stack, basket

CALM: Final = 5.0  # seconds before a kill, and after all is settled, in which orders are counted
PATIENCE: Final = 60.0  # seconds after which a kill has failed


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: seconds until the first accepted request, until the first order completed, from then to all settled.

    `before` and `after`: orders placed and completed in CALM seconds, so that what had waited since the kill does not
    count; `wrong`: orders that did not complete.
    """

    mode: str
    service: str
    number: int
    accepted: float
    completed: float
    settled: float
    before: int
    after: int
    wrong: int


@dataclass
class Shopper:
    """Places good orders at a steady rate, whatever happens to them; records when each was placed and ended."""

    stack: Stack
    rate: float
    placed: dict[str, float] = field(default_factory=dict)  # order id -> when it was first sent
    ended: dict[str, tuple[float, str]] = field(default_factory=dict)  # order id -> when its end was seen, and which
    settled: set[str] = field(default_factory=set)
    open: set[asyncio.Task[None]] = field(default_factory=set)
    another: asyncio.Event = field(default_factory=asyncio.Event)  # set when an order has ended

    async def run(self, client: httpx.AsyncClient) -> None:
        """Place orders until cancelled."""
        due = time.monotonic()
        while True:
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._shop(client))
            self.open.add(task)
            task.add_done_callback(self.open.discard)

    async def _shop(self, client: httpx.AsyncClient) -> None:
        headers = self.stack.headers(**{"Idempotency-Key": uuid4().hex, "Prefer": "wait=20"})
        began = time.monotonic()
        while True:
            try:
                answer = await client.post("/orders", headers=headers, json=basket())
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code in (200, 202):
                order = answer.json()
                self.placed.setdefault(order["order_id"], began)
                if order["status"] in ENDED:
                    self.ended[order["order_id"]] = (time.monotonic(), order["status"])
                    self.another.set()
                    return
            else:
                await asyncio.sleep(0.05)

    async def first(self, placed_after: float = 0.0) -> float:
        """Wait for the first completion of an order placed after that time; returns its time."""
        while not (times := self.completed(0.0, inf, placed_after)):
            self.another.clear()
            await self.another.wait()
        return times[0]

    def calm(self, since: float) -> int:
        """How many orders were placed and completed in CALM seconds from then."""
        return len(self.completed(since, since + CALM, placed_after=since))

    def completed(self, since: float, until: float, placed_after: float = 0.0) -> list[float]:
        """The times, sorted, at which orders placed after `placed_after` completed in that interval."""
        return sorted(
            at
            for order, (at, status) in self.ended.items()
            if since <= at < until and status == "COMPLETED" and self.placed[order] >= placed_after
        )


async def kill_all(stack: Stack, todo: Sequence[tuple[str, int]], rate: float, done: Callable[[Kill], None]) -> None:
    async with stack.client() as client, AsyncExitStack() as opened:
        clients = {name: await opened.enter_async_context(stack.client(name)) for name in SERVICES}
        shopper = Shopper(stack, rate)
        shopping = asyncio.create_task(shopper.run(client))
        try:
            async with asyncio.timeout(PATIENCE):
                await shopper.first()
            await asyncio.sleep(CALM)
            for service, number in todo:
                done(await _kill(stack, clients[service], shopper, service, number))
        finally:
            shopping.cancel()
            await asyncio.gather(shopping, return_exceptions=True)
            await asyncio.wait(shopper.open or {asyncio.create_task(asyncio.sleep(0))}, timeout=PATIENCE)


async def _kill(stack: Stack, client: httpx.AsyncClient, shopper: Shopper, service: str, number: int) -> Kill:
    """Kill a service once and measure; afterwards nothing is broken for CALM seconds, which precede the next kill."""
    some_order = next(iter(shopper.ended))
    at = time.monotonic()
    before = shopper.calm(at - CALM)
    await asyncio.to_thread(stack.kill, service, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        await _accepts(stack, client, service, some_order)
        accepted = time.monotonic()
        first = await shopper.first(placed_after=at)
        settled = await _settled(stack, shopper, until=accepted)
    began = time.monotonic()
    await asyncio.sleep(CALM)
    wrong = sum(status != "COMPLETED" for ended, status in shopper.ended.values() if ended >= at)
    return Kill(
        mode=stack.mode,
        service=service,
        number=number,
        accepted=round(accepted - at, 3),
        completed=round(first - at, 3),
        settled=round(settled - accepted, 3),
        before=before,
        after=shopper.calm(began),
        wrong=wrong,
    )


async def _accepts(stack: Stack, client: httpx.AsyncClient, service: str, order: str) -> None:
    """Wait until the service answers a request for which it needs its store."""
    key = {"Idempotency-Key": uuid4().hex}
    while True:
        with suppress(httpx.TransportError):
            match service:
                case "order":
                    answer = await client.post("/orders", headers=stack.headers("killer", **key), json=basket())
                case "payment":
                    answer = await client.get(f"/payments/{order}", headers=stack.headers())
                case "shipping":
                    answer = await client.get(f"/shipments/{order}", headers=stack.headers())
                case _:
                    answer = await client.get("/stock/espresso-cup")
            if answer.status_code in (200, 202):
                return
        await asyncio.sleep(0.02)


async def _settled(stack: Stack, shopper: Shopper, until: float) -> float:
    """Wait until all orders placed by `until` are settled; returns when the last was seen to be."""
    left = {order for order, at in shopper.placed.items() if at <= until} - shopper.settled
    while True:
        for order in sorted(left):
            state = await stack.get(f"/orders/{order}", role="admin", customer="root")
            if state["status"] in ENDED and state["settled"]:
                left.discard(order)
                shopper.settled.add(order)
        if not left:
            return time.monotonic()
        await asyncio.sleep(0.05)

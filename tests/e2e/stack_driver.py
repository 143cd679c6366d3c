"""Drives a running stack through scenarios, and describes how every order ended in the normal form."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import httpx

from tests.agreement.normalize import End, Ending, end_of
from tests.agreement.scenarios import SCARCE, Purchase, Scenario, body
from tests.agreement.steady import HELD
from tests.e2e.stack import ENDED, SERVICES, Stack

AT_A_TIME: Final = 12
_SLOW: Final = "PaymentAuthorizationRequested"
_OWNER: Final = {"OrderPlaced": "order", "StockReserved": "inventory", "PaymentAuthorized": "payment"}


@dataclass
class Driver:
    """Plays scenarios; `timed_out` are orders that met their deadline on a busy machine, and do not count."""

    stack: Stack
    deadline: float
    clients: Mapping[str, httpx.AsyncClient]
    timed_out: list[str] = field(default_factory=list)

    async def get(self, service: str, path: str, **role: Any) -> Any:
        answer = await self.clients[service].get(path, headers=self.stack.headers(**role))
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    async def stock(self) -> dict[str, tuple[int, int, int]]:
        """SKU -> available, reserved, committed."""
        levels: dict[str, tuple[int, int, int]] = {}
        cursor: str | None = ""
        while cursor is not None:
            page = await self.get("inventory", f"/stock?limit=200{cursor and f'&cursor={cursor}'}")
            levels |= {one["sku"]: _pieces(one) for one in page["items"]}
            cursor = page["next_cursor"]
        return levels

    async def play(self, scenario: Scenario) -> tuple[End, ...]:
        """Play all purchases, each after the one before has settled."""
        return tuple([await self.purchase(one) for one in scenario.purchases])

    async def play_scarce(self, scenario: Scenario) -> Ending:
        """Play with as many pieces of SCARCE as the scenario says, and none afterwards."""
        await self._level(scenario.scarce)
        before = await self._scarce()
        orders = await self.play(scenario)
        after = await self._scarce()
        await self._level(0)
        return Ending(orders, {SCARCE: tuple(now - then for now, then in zip(after, before, strict=True))})

    async def play_held(self, scenarios: tuple[Scenario, ...], point: str) -> list[tuple[End, ...]]:
        """Cancel all orders at `point`, while the service that would do the next step is paused."""
        requests = [scenario.purchases[0].body for scenario in scenarios]
        self.stack.kill(HELD[point], signal.SIGSTOP)
        try:
            orders = await asyncio.gather(*(self._submit(request) for request in requests))
            await asyncio.gather(*(self._recorded(order["order_id"], point) for order in orders))
            answers = await asyncio.gather(*(self._cancel(order["order_id"]) for order in orders))
        finally:
            self.stack.kill(HELD[point], signal.SIGCONT)
        settled = await asyncio.gather(*(self._settled(order["order_id"]) for order in orders))
        return [(await self._end(order, won),) for order, won in zip(settled, answers, strict=True)]

    async def purchase(self, purchase: Purchase) -> End:
        """Play one order to its end, with its cancel; again if it met its deadline, which leaves no effect."""
        while True:
            order, won = await self._once(purchase)
            if order["cancellation_reason"] != "TIMED_OUT":
                return await self._end(order, won)
            assert await self._age(order["order_id"]) >= self.deadline, order
            self.timed_out.append(order["order_id"])

    async def _once(self, purchase: Purchase) -> tuple[Any, bool | None]:
        point = purchase.cancel_at
        order = await self._submit(purchase.body, wait=None if point in ("OrderConfirmed", _SLOW) else 40)
        order_id = order["order_id"]
        if point == _SLOW:
            await self._recorded(order_id, point)
            won = await self._cancel(order_id)
            return await self._settled(order_id), won
        if point == "OrderConfirmed":
            while order["status"] == "PENDING":
                await asyncio.sleep(0.05)
                order = await self.get("order", f"/orders/{order_id}")
        else:
            order = await self._settled(order_id)
        answer = await self._cancel(order_id) if point and _reached(order, point) else None
        return await self._settled(order_id), answer

    async def _submit(self, request: Any, wait: int | None = None) -> Any:
        headers = self.stack.headers(**{"Idempotency-Key": uuid.uuid4().hex})
        headers |= {"Prefer": f"wait={wait}"} if wait else {}
        answer = await self.clients["order"].post("/orders", headers=headers, json=request)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    async def _cancel(self, order_id: str) -> bool:
        answer = await self.clients["order"].post(f"/orders/{order_id}/cancel", headers=self.stack.headers())
        assert answer.status_code in (200, 409), answer.text
        return answer.status_code == 200

    async def _settled(self, order_id: str) -> Any:
        async with asyncio.timeout(60):
            while True:
                order = await self.get("order", f"/orders/{order_id}")
                if order["status"] in ENDED and order["settled"]:
                    return order
                await asyncio.sleep(0.1)

    async def _recorded(self, order_id: str, event: str) -> None:
        """Wait until the event is recorded; for a slow card, until its payment is in progress."""
        async with asyncio.timeout(30):
            while True:
                if event in await self._times(_OWNER.get(event, "payment"), order_id):
                    return
                await asyncio.sleep(0.1)

    async def _times(self, service: str, order_id: str) -> dict[str, datetime]:
        timeline = await self.get(service, f"/timeline/{order_id}")
        return {one["message"]: datetime.fromisoformat(one["at"]) for one in timeline["items"]} if timeline else {}

    async def _age(self, order_id: str) -> float:
        """The age of the order when it was decided, in seconds."""
        times = await self._times("order", order_id)
        return (times["OrderCancelled"] - times["OrderPlaced"]).total_seconds()

    async def _end(self, order: Any, won: bool | None) -> End:
        order_id = order["order_id"]
        payment = await self.get("payment", f"/payments/{order_id}")
        shipment = await self.get("shipping", f"/shipments/{order_id}")
        ledger = await self.get("provider", f"/ledger?order_id={order_id}", customer="root", role="admin")
        return end_of(
            order["status"],
            order["cancellation_reason"],
            order["total"]["amount"],
            payment and payment["status"],
            shipment and shipment["status"],
            [(one["operation"], one["outcome"]) for one in ledger["items"]],
            won,
        )

    async def _scarce(self) -> tuple[int, int, int]:
        return _pieces(await self.get("inventory", f"/stock/{SCARCE}"))

    async def _level(self, pieces: int) -> None:
        """Make exactly that many pieces of SCARCE available, by restocking or by buying."""
        available, *_ = await self._scarce()
        if available < pieces:
            headers = self.stack.headers("root", "admin", **{"Idempotency-Key": uuid.uuid4().hex})
            path, missing = f"/stock/{SCARCE}/restock", {"quantity": pieces - available}
            (await self.clients["inventory"].post(path, headers=headers, json=missing)).raise_for_status()
        elif available > pieces:
            end = await self.purchase(Purchase(body({SCARCE: available - pieces})))
            assert end.status == "COMPLETED"


def _pieces(item: Any) -> tuple[int, int, int]:
    return item["available"], item["reserved"], item["committed"]


def _reached(order: Any, point: str) -> bool:
    """Whether an order has reached the point at which its customer cancels."""
    if point == "OrderConfirmed":
        return order["status"] in ("CONFIRMED", "COMPLETED")
    return bool(order["status"] == {"OrderCompleted": "COMPLETED", "CancellationSettled": "CANCELLED"}[point])


@asynccontextmanager
async def driving(stack: Stack, deadline: float) -> AsyncIterator[Driver]:
    async with AsyncExitStack() as opened:
        names = (*SERVICES, "provider")
        yield Driver(stack, deadline, {name: await opened.enter_async_context(stack.client(name)) for name in names})

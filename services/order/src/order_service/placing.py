"""Placing an order: its id, its prices, and what a repeated request means."""

import asyncio
import os
import time
import uuid
from contextlib import suppress
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from checkout import limits
from checkout.messages import Checkout, Line, Money, PlaceOrder
from checkout.sealing import seal_checkout
from order_service.admission import Admission
from order_service.queries import OrderQueries
from order_service.schemas import ReceivedOrder, UnacceptableOrder, stored_checkout
from sagakit import telemetry
from sagakit.engine.dispatcher import Dispatcher
from sagakit.ports import RowExists, RowsLocked, StoreUnavailable
from sagakit.sealing import sealer
from sagakit.settings import Settings
from sagakit.web.app import Invalid, Problem

PAUSE: Final = 0.02
"""Seconds before the first order under a key is asked for again, where somebody has locked the table."""


def new_order_id(at: float) -> str:
    """A UUID of version 7 (RFC 9562), for an order that comes at this time, in seconds since 1970.

    Ids that begin with the time stand beside each other in the indexes of all four databases: an order changes pages
    that other new orders change too, however many are stored.
    """
    number = int(at * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return str(uuid.UUID(int=number & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62))


class Placed(NamedTuple):
    """An order that is there. `pruned`: it ended long ago, and there is nothing to wait for."""

    order_id: str
    pruned: bool


class Placing:
    """Places orders, each once, however often it is sent."""

    def __init__(self, queries: OrderQueries, dispatcher: Dispatcher, admission: Admission, settings: Settings) -> None:
        self._queries, self._dispatcher, self._admission = queries, dispatcher, admission
        self._sealers = sealer(settings.seal_key_payment), sealer(settings.seal_key_shipping)
        self._patience = settings.door_timeout
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def place(self, order: ReceivedOrder, customer: str, key: str) -> Placed:
        """Place the order that the customer sent under this key, if it is not placed yet.

        Raises:
            RequestValidationError: It is new, and its body is not acceptable.
            Problem: It is new, and there is no room for it, or it cannot be priced; or the key is another order's.
            StoreUnavailable: The database did not answer in time; send it again.
        """
        lock = self._locks.get((customer, key)) or self._locks.setdefault((customer, key), asyncio.Lock())
        try:
            async with asyncio.timeout(self._patience) as limit, lock:
                first = await self._first_under(customer, key)
                if first is None:
                    limit.reschedule(None)  # the dispatcher has its own
                    with suppress(RowExists):  # another process has just placed an order under this key
                        return Placed(await self._place(order, customer, key), pruned=False)
                    limit.reschedule(asyncio.get_running_loop().time() + self._patience)
                    first = await self._first_under(customer, key)
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {self._patience:g} s") from None
        if first.fingerprint != order.fingerprint():
            raise Problem(
                422,
                "idempotency_key_reused",
                "Idempotency-Key: was used for another order; send a new key with a new order.",
                errors=[{"field": "Idempotency-Key", "message": "was used with another body"}],
            )
        return Placed(first.order_id, first.pruned or not await self._repeat(first, key))

    async def _first_under(self, customer: str, key: str) -> Any:
        while True:
            try:
                return await self._queries.first_under(customer, key, hurry=not self._admission.full)
            except RowsLocked:
                await asyncio.sleep(PAUSE)

    async def _repeat(self, first: Any, key: str) -> bool:
        """Send the command of this row once more, which changes nothing; whether its events are still there."""
        command = PlaceOrder(first.order_id, key, first.fingerprint, stored_checkout(first.checkout))
        return await self._dispatcher.do(command, traceparent=telemetry.traceparent.get()) is not None

    async def _place(self, order: ReceivedOrder, customer: str, key: str) -> str:
        """The id of a new order. What can change (prices, bounds) is checked here alone: a placed order stands."""
        order_id = new_order_id(time.time())
        async with self._admission.admitted(order_id):
            checkout = await self._priced(order, customer)
            command = PlaceOrder(order_id, key, order.fingerprint(), checkout)
            await self._dispatcher.do(command, traceparent=telemetry.traceparent.get())
        return order_id

    async def _priced(self, order: ReceivedOrder, customer: str) -> Checkout:
        if isinstance(order, UnacceptableOrder):
            raise order.refusal()
        lines = []
        for position, (sku, quantity) in enumerate(order.pieces()):
            price = await self._queries.price(sku)
            if price is None:
                raise Invalid(f"lines.{position}.sku", "is not in the catalogue; GET /stock lists it")
            lines.append(Line(sku, quantity, price))
        total = Money(sum(line.quantity * line.unit_price.amount for line in lines), lines[0].unit_price.currency)
        if total.amount > limits.AMOUNT:
            raise Invalid("lines", f"cost more than {limits.AMOUNT} {total.currency} in minor units")
        checkout = Checkout(customer, tuple(lines), total, order.payment.token, order.address())
        return seal_checkout(checkout, *self._sealers)

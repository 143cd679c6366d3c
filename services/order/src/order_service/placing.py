"""Placing an order: its id, its prices, and what a repeated request means."""

import uuid
from typing import Final, NamedTuple

from fastapi.exceptions import RequestValidationError

from checkout import limits
from checkout.messages import Checkout, Line, Money, OrderCancelled, OrderPlaced, PlaceOrder
from checkout.sealing import seal_checkout
from order_service.admission import Admission
from order_service.queries import OrderQueries
from order_service.schemas import ReceivedOrder, UnacceptableOrder
from sagakit import telemetry
from sagakit.engine.dispatcher import Dispatcher
from sagakit.sealing import sealer
from sagakit.settings import Settings
from sagakit.web.app import Conflict, Invalid, Problem

NAMESPACE: Final = uuid.UUID("6f1b0c0e-5f0e-4c1c-9a39-0f6d1f6a7b11")


def order_id_of(customer: str, key: str) -> str:
    """The id of an order is derived: the same customer and key always mean the same order."""
    return str(uuid.uuid5(NAMESPACE, f"{customer}\n{key}"))


class Placed(NamedTuple):
    """An order that is there. `pruned`: it ended long ago, and there is nothing to wait for."""

    order_id: str
    pruned: bool


class _First(NamedTuple):
    """What is known of the order that was the first under its key."""

    fingerprint: str
    pruned: bool = False


class Placing:
    """Places orders, each once, however often it is sent."""

    def __init__(self, queries: OrderQueries, dispatcher: Dispatcher, admission: Admission, settings: Settings) -> None:
        self._queries, self._dispatcher, self._admission = queries, dispatcher, admission
        self._sealers = sealer(settings.seal_key_payment), sealer(settings.seal_key_shipping)

    async def place(self, order: ReceivedOrder, customer: str, key: str) -> Placed:
        """Place the order that the customer sent under this key, if it is not placed yet.

        Raises:
            RequestValidationError: It is new, and its body is not acceptable.
            Problem: It is new, and there is no room for it, or it cannot be priced; or its messages came before it, or
                the key is that of another order.
        """
        order_id = order_id_of(customer, key)
        async with self._admission.admitted(order_id):
            first = await self._first_under(order_id, order, customer, key)
        if first.fingerprint != order.fingerprint():
            raise Problem(
                422,
                "idempotency_key_reused",
                "Idempotency-Key: was used for another order; send a new key with a new order.",
                errors=[{"field": "Idempotency-Key", "message": "was used with another body"}],
            )
        return Placed(order_id, first.pruned)

    async def _first_under(self, order_id: str, order: ReceivedOrder, customer: str, key: str) -> _First:
        """The order that has this id: this one if it is new, else the first that had the key."""  # noqa: DOC501  # see `place`
        # What can change (prices, the catalogue, bounds) is checked for new orders only: a placed order stands
        try:
            checkout = await self._priced(order, customer)
        except (Problem, RequestValidationError):
            row = await self._queries.get(order_id)
            if row is None:
                raise
            return _First(row.fingerprint)
        command = PlaceOrder(order_id, key, order.fingerprint(), checkout)
        event = await self._dispatcher.do(command, traceparent=telemetry.traceparent.get())
        if isinstance(event, OrderCancelled):
            raise Conflict(
                "order_disowned",
                "Messages about this order came before it, and were undone. Send it again with a new Idempotency-Key.",
            )
        if isinstance(event, OrderPlaced):
            return _First(event.fingerprint)
        row = await self._queries.get(order_id)  # its events are deleted: the final row has answered
        assert row is not None
        return _First(row.fingerprint, pruned=True)

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
        return seal_checkout(checkout, *self._sealers)  # dropped when the order is a repeat: the first sealing stands

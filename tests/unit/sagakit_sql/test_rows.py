"""Rows as states: what a transaction reads, creates and updates."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from checkout.messages import ConfirmOrder, PlaceOrder
from inventory_service import store as inventory
from inventory_service.domain import Reservation
from order_service import store as order
from order_service.domain import CONFIRMED, PENDING, Order
from payment_service import store as payment
from payment_service.domain import Payment
from sagakit.ports import Changes, RowsLocked
from sagakit.postgres.entities import EntityRows
from sagakit.work import Nudge
from shipping_service import store as shipping
from shipping_service.domain import Shipment
from tests.service_process import basket, place, service_process

Database = Callable[[str], str]
STATES: list[tuple[EntityRows, Any, set[str]]] = [
    (order.rows(2), Order("o1"), {"cancellation_reason", "customer", "idempotency_key", "fingerprint", "checkout"}),
    (order.rows(2), Order("o1", PENDING, None, "key", "digest", basket(), stock_settled=True), {"cancellation_reason"}),
    (inventory.RESERVATIONS_ROWS, Reservation("o1"), {"customer", "lines"}),
    (inventory.RESERVATIONS_ROWS, Reservation("o1", "RESERVED", {"tea-pot": 2}, customer="alice"), set()),
    (payment.ROWS, Payment("o1"), {"customer", "amount", "currency", "checkout"}),
    (payment.ROWS, Payment("o1", "AUTHORIZED", basket(), open=True), set()),
    (shipping.ROWS, Shipment("o1"), {"customer", "checkout"}),
    (shipping.ROWS, Shipment("o1", "BOOKED", basket(), cancel_wanted=True), set()),
]


@pytest.mark.parametrize(("rows", "state", "empty"), STATES)
def test_a_row_holds_its_state_and_is_null_where_a_field_has_its_default(
    rows: EntityRows, state: Any, empty: set[str]
) -> None:
    row = rows.write(state)
    assert {name for name, value in row.items() if value is None} == empty
    assert rows.read(SimpleNamespace(order_id="o1", **row)) == state


async def test_a_row_that_another_transaction_has_created_meanwhile_is_locked_for_this_one(database: Database) -> None:
    url = database("order")
    async with (
        service_process("order", url) as one,
        service_process("order", url, started=False) as two,
        two.store.transaction() as transaction,
    ):
        _, working = await transaction.claim_and_load([], [place("o1"), place("o2")], [])
        await one.engine.dispatcher.do(place("o1"))
        for subject in ("o1", "o2"):
            working.put(subject, Order(subject, PENDING, checkout=basket()))
        with pytest.raises(RowsLocked) as raised:
            await transaction.save(working, Changes())
        assert raised.value.subjects == {"o1"}


async def test_a_command_that_does_not_read_what_was_ordered_leaves_it_as_it_is(database: Database) -> None:
    async with service_process("order", database("order")) as service:
        await service.engine.dispatcher.do(place("o1"))
        async with service.store.transaction() as transaction:
            _, working = await transaction.claim_and_load([], [ConfirmOrder("o1")], [])
            assert working.get("o1", None) == Order("o1", PENDING)
        await service.engine.dispatcher.do(ConfirmOrder("o1"))
        async with service.store.transaction() as transaction:
            _, working = await transaction.claim_and_load([], [], [Nudge("o1").subject])
            placed: PlaceOrder = place("o1")
            assert working.get("o1", None) == Order(
                "o1", CONFIRMED, None, placed.idempotency_key, placed.fingerprint, placed.checkout
            )

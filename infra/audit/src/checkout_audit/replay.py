"""The journal once more through the production `evolve`: what the rows ought to say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from checkout_audit.snapshot import JournalRow, OrderEvidence
from inventory_service.domain import Reservation, StockItem, StockState
from inventory_service.service import SERVICE as INVENTORY
from order_service.domain import Order
from order_service.service import SERVICE as ORDER
from payment_service.domain import Payment
from payment_service.service import SERVICE as PAYMENT
from sagakit.service import Service
from shipping_service.domain import Shipment
from shipping_service.service import SERVICE as SHIPPING

SERVICES: Final[Mapping[str, Service]] = {one.name: one for one in (ORDER, INVENTORY, PAYMENT, SHIPPING)}
_PLENTY: Final = 1 << 60


class _Shelves(dict[str, StockItem]):
    """Stock without end: how much there was is another invariant's question."""

    def __missing__(self, sku: str) -> StockItem:
        return StockItem(sku, received=_PLENTY, available=_PLENTY)


_BLANK: Final[Mapping[str, Callable[[str], Any]]] = {
    "order": Order,
    "inventory": lambda subject: StockState(Reservation(subject), _Shelves()),
    "payment": Payment,
    "shipping": Shipment,
}


def replay(service: str, subject: str, rows: Sequence[JournalRow]) -> Any:
    """The state that the events lead to; raises whatever `evolve` raises."""
    state = _BLANK[service](subject)
    for row in rows:
        assert row.event is not None
        state = SERVICES[service].evolve(state, row.event)
        if isinstance(state, StockState):
            state = StockState(state.reservation, _Shelves())
    return state.reservation if isinstance(state, StockState) else state


def stored(service: str, case: OrderEvidence) -> Any:
    """The state in the service's row; None if there is none, or a placeholder."""
    return {
        "order": case.order and case.order.state,
        "inventory": case.reservation,
        "payment": case.payment and case.payment.state,
        "shipping": case.shipment,
    }[service]


def differences(replayed: Any, row: Any) -> str:
    """The fields in which two states differ, with both values."""
    return "; ".join(
        f"{one.name}={getattr(row, one.name)!r:.80}, its history leads to {getattr(replayed, one.name)!r:.80}"
        for one in fields(row)
        if getattr(row, one.name) != getattr(replayed, one.name)
    )

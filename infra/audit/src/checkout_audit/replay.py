"""Replay: the journal through the production `evolve` gives the state that the row must have."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from checkout_audit.rows import JournalRow
from checkout_audit.snapshot import OrderEvidence
from inventory_service.domain import Reservation, StockItem, StockState
from inventory_service.service import SERVICE as INVENTORY
from order_service.domain import Order
from order_service.service import SERVICE as ORDER
from payment_service.domain import Payment
from payment_service.service import SERVICE as PAYMENT
from sagakit.service import Service
from shipping_service.domain import Shipment
from shipping_service.service import SERVICE as SHIPPING

SERVICES: Final[Mapping[str, Service]] = {service.name: service for service in (ORDER, INVENTORY, PAYMENT, SHIPPING)}
_PLENTY: Final = 1 << 60


class _UnlimitedStock(dict[str, StockItem]):
    """Any amount of any SKU: how much there is, another invariant checks."""

    def __missing__(self, sku: str) -> StockItem:
        return StockItem(sku, received=_PLENTY, available=_PLENTY)


_NEW: Final[Mapping[str, Callable[[str], Any]]] = {
    "order": Order,
    "inventory": lambda subject: StockState(Reservation(subject), _UnlimitedStock()),
    "payment": Payment,
    "shipping": Shipment,
}


def replay(service: str, subject: str, rows: Sequence[JournalRow]) -> Any:
    """The state that the events lead to. Raises whatever `evolve` raises."""
    state = _NEW[service](subject)
    for row in rows:
        assert row.event is not None
        state = SERVICES[service].evolve(state, row.event)
        if isinstance(state, StockState):
            state = StockState(state.reservation, _UnlimitedStock())
    return state.reservation if isinstance(state, StockState) else state


def stored(service: str, evidence: OrderEvidence) -> Any:
    """The state in the service's row; None if there is no row, or a placeholder."""
    return {
        "order": evidence.order and evidence.order.state,
        "inventory": evidence.reservation,
        "payment": evidence.payment and evidence.payment.state,
        "shipping": evidence.shipment,
    }[service]


def differences(replayed: Any, row: Any) -> str:
    """The fields in which two states differ, with both values."""
    return "; ".join(
        f"{name}={getattr(row, name)!r:.80}, its history leads to {getattr(replayed, name)!r:.80}"
        for name in row.__struct_fields__
        if getattr(row, name) != getattr(replayed, name)
    )

"""Stock and reservations. All lines of an order are reserved together or not at all. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from checkout.messages import StockCommitted, StockRejected, StockReleased, StockReserved
from sagakit.message import Command, Event
from sagakit.service import OutOfTurn

NEW: Final = "NEW"
RESERVED: Final = "RESERVED"
REJECTED: Final = "REJECTED"
COMMITTED: Final = "COMMITTED"
RELEASED: Final = "RELEASED"


class Restock(Command, frozen=True):
    """Private: add goods that have arrived. `restock_id` is derived from the caller's idempotency key."""

    restock_id: str
    sku: str
    quantity: int

    @property
    def subject(self) -> str:
        """The restock."""
        return self.restock_id


class StockReceived(Event, frozen=True):
    """Private: `quantity` more of `sku` are available."""

    restock_id: str
    sku: str
    quantity: int

    @property
    def subject(self) -> str:
        """The restock."""
        return self.restock_id


class StockItem(msgspec.Struct, frozen=True):
    """The stock of one SKU. `available + reserved + committed = received`, and none is negative."""

    sku: str
    received: int = 0
    available: int = 0
    reserved: int = 0
    committed: int = 0

    def reserve(self, quantity: int) -> "StockItem":
        """Move `quantity` from available to reserved.

        Raises:
            OutOfTurn: So much is not available.
        """
        if quantity > self.available:
            raise OutOfTurn(f"{self.sku}: {quantity} wanted, {self.available} available")
        return replace(self, available=self.available - quantity, reserved=self.reserved + quantity)

    def commit(self, quantity: int) -> "StockItem":
        """Move `quantity` from reserved to committed."""
        return replace(self, reserved=self.reserved - quantity, committed=self.committed + quantity)

    def release(self, quantity: int) -> "StockItem":
        """Move `quantity` from reserved back to available."""
        return replace(self, reserved=self.reserved - quantity, available=self.available + quantity)

    def receive(self, quantity: int) -> "StockItem":
        """Add `quantity` to what was received and is available."""
        return replace(self, received=self.received + quantity, available=self.available + quantity)


class Reservation(msgspec.Struct, frozen=True):
    """What one order holds. RELEASED without lines is a tombstone, which refuses a late reservation.

    `closed`: it is committed or released; a REJECTED reservation stays REJECTED when it is released. `pruned`: this is
    all that is left of it.
    """

    order_id: str
    status: str = NEW
    lines: Mapping[str, int] = msgspec.field(default_factory=dict)
    closed: bool = False
    customer: str = ""
    pruned: bool = False


class StockState(msgspec.Struct, frozen=True):
    """A reservation with the stock items that it, or the command to decide, is about."""

    reservation: Reservation
    items: Mapping[str, StockItem]


def evolve(stock: StockState, event: Event) -> StockState:
    """Apply `event`.

    Raises:
        TypeError: `event` is no event of the inventory service.
    """
    reservation = stock.reservation
    match event:
        case StockReserved(checkout=checkout):
            lines: dict[str, int] = {}
            for line in checkout.lines:
                lines[line.sku] = lines.get(line.sku, 0) + line.quantity
            reservation = replace(reservation, status=RESERVED, lines=lines, customer=checkout.customer)
            return StockState(reservation, _moved(stock.items, lines, StockItem.reserve))
        case StockRejected(customer=customer):
            return replace(stock, reservation=replace(reservation, status=REJECTED, customer=customer))
        case StockCommitted():
            items = _moved(stock.items, reservation.lines, StockItem.commit)
            return StockState(replace(reservation, status=COMMITTED, closed=True), items)
        case StockReleased():
            if reservation.status == RESERVED:
                items = _moved(stock.items, reservation.lines, StockItem.release)
                return StockState(replace(reservation, status=RELEASED, closed=True), items)
            status = REJECTED if reservation.status == REJECTED else RELEASED
            return replace(stock, reservation=replace(reservation, status=status, closed=True))
        case StockReceived(sku=sku, quantity=quantity):
            return replace(stock, items={**stock.items, sku: stock.items[sku].receive(quantity)})
    raise TypeError(f"inventory knows no {type(event).__name__}")


def _moved(
    items: Mapping[str, StockItem], lines: Mapping[str, int], move: Callable[[StockItem, int], StockItem]
) -> Mapping[str, StockItem]:
    return {**items, **{sku: move(items[sku], quantity) for sku, quantity in lines.items()}}

"""How the inventory service decides each command. The table at the foot is the table of contents."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from checkout.messages import (
    CommitStock,
    ReleaseStock,
    ReserveStock,
    StockCommitted,
    StockRejected,
    StockReleased,
    StockReserved,
)
from inventory_service.domain import NEW, RESERVED, Restock, StockReceived, StockState
from sagakit.message import Command, Event
from sagakit.service import Handler, OutOfTurn


def reserve_stock(command: ReserveStock, stock: StockState) -> Event:
    """Reserve all lines or none. A reservation that was released before it was made is rejected.

    Raises:
        OutOfTurn: The reservation has been made already.
    """
    reservation = stock.reservation
    if reservation.closed:
        return StockRejected(command.order_id, (), command.checkout.customer)
    if reservation.status != NEW:
        raise OutOfTurn(f"stock for order {command.order_id} is {reservation.status} already")
    quantities: Counter[str] = Counter()
    for line in command.checkout.lines:
        quantities[line.sku] += line.quantity
    missing = tuple(
        sku
        for sku, quantity in sorted(quantities.items())
        if sku not in stock.items or stock.items[sku].available < quantity
    )
    if missing:
        return StockRejected(command.order_id, missing, command.checkout.customer)
    return StockReserved(command.order_id, command.checkout)


def commit_stock(command: CommitStock, stock: StockState) -> Event:
    """Commit what is reserved.

    Raises:
        OutOfTurn: Nothing is reserved.
    """
    if stock.reservation.status != RESERVED:
        raise OutOfTurn(f"stock for order {command.order_id} is {stock.reservation.status}, not RESERVED")
    return StockCommitted(command.order_id)


def release_stock(command: ReleaseStock, stock: StockState) -> Event:
    """Undo the reservation in whatever state it is. If there is none yet, it leaves a tombstone.

    Raises:
        OutOfTurn: The reservation was committed or released before.
    """
    if stock.reservation.closed:
        raise OutOfTurn(f"stock for order {command.order_id} is {stock.reservation.status} already")
    return StockReleased(command.order_id)


def restock(command: Restock, stock: StockState) -> Event:
    """Add to what is available.

    Raises:
        OutOfTurn: There is no such SKU.
    """
    if command.sku not in stock.items:
        raise OutOfTurn(f"there is no SKU {command.sku}")
    return StockReceived(command.restock_id, command.sku, command.quantity)


COMMANDS: Final[Mapping[type[Command], Handler]] = {
    ReserveStock: Handler(reserve_stock, (StockReserved, StockRejected)),
    CommitStock: Handler(commit_stock, (StockCommitted,)),
    ReleaseStock: Handler(release_stock, (StockReleased,)),
    Restock: Handler(restock, (StockReceived,)),
}

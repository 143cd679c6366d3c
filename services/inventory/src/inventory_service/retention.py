"""What is left of a reservation for ever: its row, which answers whatever still comes. Restocks are kept. Pure."""

from typing import Final

from msgspec.structs import replace

from checkout.messages import StockCommitted, StockReleased
from inventory_service.domain import COMMITTED, StockState
from sagakit.message import Command, Event
from sagakit.service import Retention


def ended(stock: StockState) -> bool:
    """Whether nothing that may still come changes the reservation."""
    return stock.reservation.closed


def pruned(stock: StockState) -> bool:
    """Whether the row is all that is left of the reservation."""
    return stock.reservation.pruned


def final(stock: StockState) -> StockState:
    """The row that is left: with its lines, for the stock is counted by them."""
    return replace(stock, reservation=replace(stock.reservation, pruned=True))


def outcome(stock: StockState, command: Command | None) -> Event:
    """How it came out. Whatever is asked, this is all that the saga may still need to hear."""
    kind = StockCommitted if stock.reservation.status == COMMITTED else StockReleased
    return kind(stock.reservation.order_id)


RETENTION: Final = Retention(ended, pruned, final, outcome)

"""Stock: all lines or none, and nothing is ever created or lost."""

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from checkout import messages as m
from inventory_service.domain import Reservation, Restock, StockItem, StockReceived, StockState
from inventory_service.service import SERVICE
from sagakit.message import Command
from tests.unit.services.given import ADDRESS, CHECKOUT, ORDER, expect, expect_bug, given

RESERVE = m.ReserveStock(ORDER, CHECKOUT)
RESERVED, RELEASED, COMMITTED = m.StockReserved(ORDER, CHECKOUT), m.StockReleased(ORDER), m.StockCommitted(ORDER)


def stock(**available: int) -> StockState:
    return StockState(Reservation(ORDER), {sku: StockItem(sku, count, count) for sku, count in available.items()})


FULL = stock(cup=2, beans=1)
HELD = given(SERVICE, FULL, RESERVED)


def test_a_reservation_moves_every_line_from_available_to_reserved() -> None:
    after = expect(SERVICE, FULL, RESERVE, RESERVED)
    assert after.reservation == Reservation(ORDER, "RESERVED", {"cup": 2, "beans": 1}, customer="alice")
    assert after.items == {"cup": StockItem("cup", 2, 0, 2), "beans": StockItem("beans", 1, 0, 1)}


def test_if_one_line_is_missing_nothing_is_reserved() -> None:
    before = stock(cup=1, beans=1)
    after = expect(SERVICE, before, RESERVE, m.StockRejected(ORDER, ("cup",), "alice"))
    assert after.items == before.items
    assert after.reservation.status == "REJECTED"


def test_an_unknown_sku_counts_as_missing() -> None:
    expect(SERVICE, stock(cup=2), RESERVE, m.StockRejected(ORDER, ("beans",), "alice"))


def test_lines_of_one_sku_are_added_up_before_stock_is_checked() -> None:
    line = m.Line("cup", 1, m.Money(1200, "EUR"))
    twice = m.Checkout("alice", (line, line), m.Money(2400, "EUR"), "tok_visa", ADDRESS)
    command = m.ReserveStock(ORDER, twice)
    expect(SERVICE, stock(cup=1), command, m.StockRejected(ORDER, ("cup",), "alice"))
    after = expect(SERVICE, stock(cup=2), command, m.StockReserved(ORDER, twice))
    assert after.reservation.lines == {"cup": 2}


def test_release_before_reserve_refuses_the_late_reserve() -> None:
    tombstone = expect(SERVICE, FULL, m.ReleaseStock(ORDER), RELEASED)
    assert tombstone.reservation == Reservation(ORDER, "RELEASED", {}, closed=True)
    late = expect(SERVICE, tombstone, RESERVE, m.StockRejected(ORDER, (), "alice"))
    assert late.items == FULL.items
    assert late.reservation.closed


def test_a_release_gives_everything_back() -> None:
    after = expect(SERVICE, HELD, m.ReleaseStock(ORDER), RELEASED)
    assert after.items == FULL.items
    assert after.reservation.status == "RELEASED"


def test_a_rejected_reservation_stays_rejected_when_released() -> None:
    rejected = given(SERVICE, stock(cup=1, beans=1), m.StockRejected(ORDER, ("cup",), "alice"))
    after = expect(SERVICE, rejected, m.ReleaseStock(ORDER), RELEASED)
    assert (after.reservation.status, after.reservation.closed) == ("REJECTED", True)


def test_a_commit_moves_reserved_to_committed() -> None:
    after = expect(SERVICE, HELD, m.CommitStock(ORDER), COMMITTED)
    assert after.items["cup"] == StockItem("cup", 2, 0, 0, 2)
    assert after.reservation.status == "COMMITTED"


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (HELD, RESERVE),
        (FULL, m.CommitStock(ORDER)),
        (given(SERVICE, HELD, COMMITTED), m.CommitStock(ORDER)),
        (given(SERVICE, HELD, COMMITTED), m.ReleaseStock(ORDER)),
        (given(SERVICE, HELD, RELEASED), m.ReleaseStock(ORDER)),
        (given(SERVICE, HELD, RELEASED), m.CommitStock(ORDER)),
    ],
)
def test_a_command_that_the_inbox_or_the_pivot_rules_out_is_a_bug(state: StockState, command: Command) -> None:
    expect_bug(SERVICE, state, command, ORDER)


def test_a_restock_adds_to_what_is_available() -> None:
    after = expect(SERVICE, FULL, Restock("r1", "cup", 5), StockReceived("r1", "cup", 5))
    assert after.items["cup"] == StockItem("cup", 7, 7)
    assert Restock("r1", "cup", 5).subject == StockReceived("r1", "cup", 5).subject == "r1"


def test_an_unknown_sku_cannot_be_restocked() -> None:
    expect_bug(SERVICE, FULL, Restock("r1", "tea", 5), "tea")


COMMANDS = st.sampled_from(["reserve", "commit", "release", "restock"])


@for_all(
    st.integers(0, 5),
    st.lists(st.tuples(COMMANDS, st.sampled_from(["o1", "o2", "o3"]), st.integers(1, 4)), max_size=30),
)
def test_stock_is_conserved_under_any_sequence_of_commands(received: int, sequence: list[tuple[str, str, int]]) -> None:
    item = StockItem("cup", received, received)
    reservations: dict[str, Reservation] = {}
    for name, order_id, quantity in sequence:
        line = m.Line("cup", quantity, m.Money(1, "EUR"))
        checkout = m.Checkout("alice", (line,), m.Money(quantity, "EUR"), "tok_visa", ADDRESS)
        commands: dict[str, Command] = {
            "reserve": m.ReserveStock(order_id, checkout),
            "commit": m.CommitStock(order_id),
            "release": m.ReleaseStock(order_id),
            "restock": Restock(order_id, "cup", quantity),
        }
        command = commands[name]
        state = StockState(reservations.get(order_id, Reservation(order_id)), {"cup": item})
        try:
            event = SERVICE.commands[type(command)].decide(command, state)
        except ValueError:
            continue
        after = SERVICE.evolve(state, event)
        item, reservations[order_id] = after.items["cup"], after.reservation
        held = [row.lines.get("cup", 0) for row in reservations.values() if row.status == "RESERVED"]
        assert item.available + item.reserved + item.committed == item.received
        assert min(item.available, item.reserved, item.committed) >= 0
        assert item.reserved == sum(held)

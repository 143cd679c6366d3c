"""Every reachable state of one order, in both styles and in a mixture of both, and of two orders for the last piece.

No bound is needed. Two orders have more than a million states together with remote providers and cancels; `rivals` says
how these are explored all the same.
"""

from dataclasses import replace
from functools import cache

import pytest

from tests.simulation.design import STYLES, Design
from tests.simulation.explore import explore
from tests.simulation.mutants import MUTANTS
from tests.simulation.rivals import Alone, alone, pairs
from tests.simulation.scenario import KINDS, Scenario, order, single

BOTH = frozenset({"payment", "carrier"})
LAST_PIECE = (("cup", 1),)
OWN_END = {
    "good": ("COMPLETED", None),
    "sold out": ("CANCELLED", "OUT_OF_STOCK"),
    "declined": ("CANCELLED", "PAYMENT_DECLINED"),
    "refused": ("CANCELLED", "SHIPPING_UNAVAILABLE"),
}


@pytest.mark.parametrize(
    "instant",
    [pytest.param(frozenset[str](), id="remote", marks=pytest.mark.thorough), pytest.param(BOTH, id="instant")],
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", STYLES)
def test_from_every_state_an_order_ends_settled_and_consistent(style: str, kind: str, instant: frozenset[str]) -> None:
    exploration = explore(Design(style), single(kind, instant))
    print(f"{exploration.states} states, {exploration.transitions} transitions, {exploration.silent} without messages")
    assert exploration.violation is None, f"{exploration.violation}, by: " + "; ".join(exploration.path)
    assert exploration.endings == {OWN_END[kind], ("CANCELLED", "CUSTOMER_REQUESTED"), ("CANCELLED", "TIMED_OUT")}


@pytest.mark.thorough
@pytest.mark.parametrize("style", STYLES)
def test_of_two_orders_for_the_last_piece_exactly_one_is_completed(style: str) -> None:
    rivals = Scenario((order("o1"), order("o2")), LAST_PIECE, BOTH)
    exploration = explore(Design(style), rivals, cancels=False)
    print(f"{exploration.states} states, {exploration.transitions} transitions")
    assert exploration.violation is None, f"{exploration.violation}, by: " + "; ".join(exploration.path)
    assert exploration.endings == {("COMPLETED", None), ("CANCELLED", "OUT_OF_STOCK")}
    one = alone(Design(style), single("good", BOTH, LAST_PIECE), cancels=False)
    assert pairs(one, one).states == exploration.states, "the pairs are not the states of both orders together"


@cache
def beside_a_rival(style: str, kind: str) -> Alone:
    return alone(Design(style), single(kind, stock=LAST_PIECE))


@pytest.mark.thorough
@pytest.mark.parametrize("kinds", [("good", "good"), ("good", "declined"), ("declined", "refused")], ids=" and ".join)
@pytest.mark.parametrize("style", STYLES)
def test_in_every_state_of_two_orders_for_the_last_piece_it_is_held_once(style: str, kinds: tuple[str, str]) -> None:
    explored = {kind: beside_a_rival(style, kind) for kind in kinds}
    for kind, found in explored.items():
        assert found.violation is None, f"{kind}: {found.violation}"
        cancelled = {("CANCELLED", reason) for reason in ("OUT_OF_STOCK", "CUSTOMER_REQUESTED", "TIMED_OUT")}
        assert found.endings == {OWN_END[kind]} | cancelled
    both = pairs(*(explored[kind] for kind in kinds))
    print(f"{[len(found.after) for found in explored.values()]} states, {both.states} and {both.transitions} together")
    assert both.violation is None
    assert both.states > 300_000, "the two hardly met"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "name", ["stock update without condition", "released stock not put back", "no tombstone in inventory"]
)
def test_a_defect_of_the_stock_is_found_among_the_states_of_two_orders(name: str, style: str) -> None:
    order = alone(MUTANTS[name].mutate(Design(style)), single("good", BOTH, LAST_PIECE))
    assert order.violation is not None


@pytest.mark.parametrize("style", STYLES)
def test_two_holds_of_the_last_piece_would_be_detected(style: str) -> None:
    order = alone(Design(style), single("good", BOTH, LAST_PIECE), cancels=False)
    blind = replace(order, after=[(there or gone, there or gone) for gone, there in order.after])
    assert pairs(blind, blind).violation is not None


@pytest.mark.parametrize(
    ("kind", "instant", "cancels"),
    [
        *((kind, BOTH, False) for kind in KINDS),
        pytest.param("good", frozenset[str](), False, marks=pytest.mark.nightly),
        *(pytest.param(kind, BOTH, True, marks=pytest.mark.nightly) for kind in KINDS),
    ],
)
def test_an_order_ends_well_whatever_services_change_their_style_and_when(
    kind: str, instant: frozenset[str], cancels: bool
) -> None:
    exploration = explore(Design(STYLES[0]), single(kind, instant), cancels, styles=STYLES)
    print(f"{exploration.states} states, {exploration.transitions} transitions")
    assert exploration.violation is None, f"{exploration.violation}, by: " + "; ".join(exploration.path)
    ends = {OWN_END[kind], ("CANCELLED", "CUSTOMER_REQUESTED"), ("CANCELLED", "TIMED_OUT")}
    assert exploration.endings == (ends if cancels else {OWN_END[kind]})

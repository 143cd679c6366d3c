"""Every reachable state of one order, in both styles, with remote and with instant providers; no bound is needed.

Two orders that compete for the last piece are explored with instant providers and without cancels: with both, there
would be more than a million states. Random schedules cover those.
"""

import pytest

from tests.simulation.design import STYLES, Design
from tests.simulation.explore import explore
from tests.simulation.scenario import KINDS, Scenario, order, single

BOTH = frozenset({"payment", "carrier"})
OWN_END = {
    "good": ("COMPLETED", None),
    "sold out": ("CANCELLED", "OUT_OF_STOCK"),
    "declined": ("CANCELLED", "PAYMENT_DECLINED"),
    "refused": ("CANCELLED", "SHIPPING_UNAVAILABLE"),
}


@pytest.mark.parametrize("instant", [frozenset[str](), BOTH], ids=["remote", "instant"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", STYLES)
def test_from_every_state_an_order_ends_settled_and_consistent(style: str, kind: str, instant: frozenset[str]) -> None:
    found = explore(Design(style), single(kind, instant))
    print(f"{found.states} states, {found.transitions} transitions, {found.silent} without messages")
    assert found.violation is None, f"{found.violation}, by: " + "; ".join(found.path)
    assert found.endings == {OWN_END[kind], ("CANCELLED", "CUSTOMER_REQUESTED"), ("CANCELLED", "TIMED_OUT")}


@pytest.mark.parametrize("style", STYLES)
def test_of_two_orders_for_the_last_piece_exactly_one_is_completed(style: str) -> None:
    rivals = Scenario((order("o1"), order("o2")), (("cup", 1),), BOTH)
    found = explore(Design(style), rivals, cancels=False)
    print(f"{found.states} states, {found.transitions} transitions")
    assert found.violation is None, f"{found.violation}, by: " + "; ".join(found.path)
    assert found.endings == {("COMPLETED", None), ("CANCELLED", "OUT_OF_STOCK")}

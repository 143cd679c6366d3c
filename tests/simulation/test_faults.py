"""The simulated faults work as described: late copies, another process of a service, a change of style."""

import pytest

from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION
from tests.simulation.design import Design
from tests.simulation.healing import drain, heal, linger
from tests.simulation.invariants import finality
from tests.simulation.scenario import single
from tests.simulation.steps import Step, ends_of, perform
from tests.simulation.world import World

PLACED = "inventory < o1/OrderPlaced"
COMPLETED = {"o1": ("COMPLETED", None, True)}


def after(*steps: Step) -> World:
    """A world in which one order has been placed in choreography and published, and these steps have been done."""
    world = World(Design(CHOREOGRAPHY), single("good"))
    for step in (Step("place", ("o1",)), *steps):
        perform(world, step)
    return world


PUBLISHED = Step("relay", ("order", "o1/OrderPlaced"))


def test_a_delayed_copy_arrives_after_the_end_and_changes_nothing() -> None:
    world = after(PUBLISHED, Step("delay", (PLACED,), "copied"))
    assert list(world.network) == [PLACED]
    heal(world)
    assert ends_of(world) == COMPLETED
    assert finality(world) == []
    assert linger(world)
    assert world.carrier.delayed == {}
    assert ends_of(world) == COMPLETED
    assert finality(world) == []


def test_a_delayed_message_arrives_when_it_is_released() -> None:
    world = after(PUBLISHED, Step("delay", (PLACED,), "moved"))
    assert world.network == {}
    perform(world, Step("arrive", (CHOREOGRAPHY, PLACED)))
    assert list(world.network) == [PLACED]


def test_a_broker_keeps_what_it_has_until_its_style_comes_back() -> None:
    world = after(PUBLISHED, Step("adopt", (ORCHESTRATION,)))
    assert world.network == {}
    perform(world, Step("nudge", ("o1",)))
    drain(world)
    assert ends_of(world) == COMPLETED
    perform(world, Step("adopt", (CHOREOGRAPHY,)))
    assert list(world.network) == [PLACED]
    drain(world)
    assert ends_of(world) == COMPLETED
    assert finality(world) == []


def test_a_row_of_the_style_that_was_left_is_dropped_and_derived_again() -> None:
    world = after(Step("adopt", (ORCHESTRATION,)), PUBLISHED)
    assert world.databases["order"].outbox == {}
    assert world.carrier.under_way() == []
    heal(world)
    assert ends_of(world) == COMPLETED


def test_one_service_in_another_style_holds_orders_up_until_the_rest_has_followed() -> None:
    world = after(Step("roll", ("inventory", ORCHESTRATION)), PUBLISHED)
    assert world.network == {}
    drain(world)
    assert ends_of(world) == {"o1": ("PENDING", None, False)}
    heal(world)
    assert ends_of(world) == COMPLETED
    assert finality(world) == []


def test_a_process_that_was_slow_publishes_again_what_another_has_published() -> None:
    world = after(Step("take", ("order", "o1/OrderPlaced")), PUBLISHED)
    assert world.databases["order"].outbox == {}
    drain(world)
    assert ends_of(world) == COMPLETED
    perform(world, Step("publish", ("o1/OrderPlaced",)))
    assert list(world.network) == [PLACED]
    perform(world, Step("finish", ("o1/OrderPlaced",)))
    assert world.witnessed >= {
        "a row was published under a lease that had ended",
        "a row was not deleted, since another process held it",
    }
    drain(world)
    assert finality(world) == []


def test_a_row_is_deleted_by_whoever_has_its_latest_lease() -> None:
    row = ("order", "o1/OrderPlaced")
    kept = after(Step("take", row), Step("publish", row[1:]), Step("nudge", ("o1",)), Step("finish", row[1:]))
    assert list(kept.databases["order"].outbox) == ["o1/OrderPlaced"], "it was written anew meanwhile"
    gone = after(Step("take", row), Step("publish", row[1:]), Step("finish", row[1:]))
    assert gone.databases["order"].outbox == {}


@pytest.mark.parametrize("crash", [False, True])
def test_a_call_that_two_processes_make_has_one_effect(crash: bool) -> None:
    world = after(PUBLISHED, Step("deliver", (PLACED,)), Step("relay", ("inventory", "o1/StockReserved")))
    perform(world, Step("deliver", ("payment < o1/StockReserved",)))
    for step in (
        Step("take", ("payment", "o1/authorize")),
        Step("relay", ("payment", "o1/authorize")),
        Step("call", ("o1/authorize",)),
        Step("publish", ("o1/authorize",)),
        Step("finish", ("o1/authorize",), "crash" if crash else "ok"),
    ):
        perform(world, step)
    assert [deed.operation for deed in world.outside.ledger] == ["authorize"]
    heal(world)
    assert ends_of(world) == COMPLETED
    assert finality(world) == []

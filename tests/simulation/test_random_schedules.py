"""Thousands of seeded schedules with every kind of fault, in both styles. SIMULATION_SEEDS says how many per style.

A failure prints its seed, the call that replays it exactly, and the smallest schedule that still fails.
"""

import os
from collections import Counter

import pytest

from tests.simulation.design import STYLES, Design
from tests.simulation.scenario import scenario_of
from tests.simulation.schedule import Run, explain, replay, run
from tests.suite.choice import chosen

SEEDS = int(os.environ.get("SIMULATION_SEEDS", chosen().count(3_000, nightly=30_000)))
REACHED = (
    "COMPLETED",
    "OUT_OF_STOCK",
    "PAYMENT_DECLINED",
    "SHIPPING_UNAVAILABLE",
    "TIMED_OUT",
    "CUSTOMER_REQUESTED",
    "a hold refused by a tombstone",
    "a void that waited for its authorization",
    "a cancellation that waited for its booking",
    "a confirmation that lost",
    "a cancel that lost",
    *(f"{act} {fate}" for act in ("place", "cancel", "deadline", "remind") for fate in ("ok", "crash")),
    *(f"deliver {fate}" for fate in ("ok", "crash", "unacked")),
    *(f"call {fate}" for fate in ("ok", "unknown", "crash", "unmarked")),
    *(f"relay {fate}" for fate in ("ok", "unmarked")),
    "lose ok",
    "expire ok",
)


def reached(done: Run) -> set[str]:
    """The outcomes, races and faults that a run went through."""
    found = {f"{step.act} {step.fate}" for step in done.steps}
    for order in done.world.databases["order"].states.values():
        found.add(order.cancellation_reason or order.status)
    for database in done.world.databases.values():
        for record in database.journal:
            event, command = type(record.entry.event).__name__, record.entry.command.rpartition("/")[2]
            found.add(f"{command}: {event}")
            if getattr(record.entry.event, "code", "") == "order_cancelled":
                found.add("a hold refused by a tombstone")
    for name, what in {
        "RecordAuthorization: PaymentVoidRequested": "a void that waited for its authorization",
        "RecordBooking: ShipmentCancellationRequested": "a cancellation that waited for its booking",
        "ConfirmOrder: OrderCancelled": "a confirmation that lost",
        "CancelOrder: OrderConfirmed": "a cancel that lost",
    }.items():
        if name in found:
            found.add(what)
    return found


@pytest.mark.parametrize("style", STYLES)
def test_every_random_schedule_ends_consistent(style: str) -> None:
    design, seen = Design(style), Counter[str]()
    for seed in range(SEEDS):
        done = run(design, seed)
        if done.violations:
            pytest.fail(explain(design, seed, done))
        seen.update(reached(done))
    if SEEDS >= 1000:
        assert [what for what in REACHED if not seen[what]] == [], "these were to be explored and were not reached"


@pytest.mark.parametrize("style", STYLES)
def test_orders_survive_any_change_of_style_on_their_way(style: str) -> None:
    design = Design(style)
    for seed in range(SEEDS // 5):
        done = run(design, seed, adopting=True)
        if done.violations:
            pytest.fail(explain(design, seed, done))


@pytest.mark.parametrize("style", STYLES)
def test_a_seed_gives_the_same_schedule_and_a_replay_the_same_end(style: str) -> None:
    for seed in range(20):
        first, second = run(Design(style), seed), run(Design(style), seed)
        again = replay(Design(style), scenario_of(seed), first.steps)
        assert first.steps == second.steps == again.steps
        assert first.world.digest() == second.world.digest() == again.world.digest()

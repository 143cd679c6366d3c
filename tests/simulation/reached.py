"""What a run reached: the states in which orders ended, the races, the acts and the faults.

They are counted, so that a run in which something never happened does not pass for a proof.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from tests.simulation.schedule import Run

STATES: Final = (
    "COMPLETED",
    "OUT_OF_STOCK",
    "PAYMENT_DECLINED",
    "SHIPPING_UNAVAILABLE",
    "TIMED_OUT",
    "CUSTOMER_REQUESTED",
)
REFUSED_LATE: Final = "a hold refused by a tombstone"
RACES: Final = (
    REFUSED_LATE,
    "a void that waited for its authorization",
    "a cancellation that waited for its booking",
    "a confirmation that lost",
    "a cancel that lost",
    "a message came after the end",
    "a pruned order was asked about",
    "a row was published under a lease that had ended",
    "a row was not deleted, since another process held it",
    "services of both styles at once",
    "an order went on in the other style",
)
ACTS: Final = (
    *(f"{act} ok" for act in ("place", "relay", "deliver", "call", "cancel", "deadline", "nudge")),
    *(f"{act} ok" for act in ("expire", "adopt", "roll", "arrive", "take", "publish", "finish", "prune")),
)
FAULTS: Final = (
    "lose ok",
    *(f"{act} crash" for act in ("place", "deliver", "call", "cancel", "deadline", "nudge", "finish")),
    *("deliver unacked", "relay unmarked", "call unmarked", "call unknown", "delay copied", "delay moved"),
)
REACHED: Final[Mapping[str, tuple[str, ...]]] = {
    "states": STATES,
    "races": RACES,
    "acts": ACTS,
    "faults": FAULTS,
}
"""Everything that a run of a thousand schedules or more should reach, by heading."""

_BY_EVENT: Final = {
    ("RecordAuthorization", "PaymentVoidRequested"): "a void that waited for its authorization",
    ("RecordBooking", "ShipmentCancellationRequested"): "a cancellation that waited for its booking",
    ("ConfirmOrder", "OrderCancelled"): "a confirmation that lost",
    ("CancelOrder", "OrderConfirmed"): "a cancel that lost",
}


def reached(done: Run) -> set[str]:
    """The states, races, acts and faults of one run, by the names above."""
    names = {f"{step.act} {step.fate}" for step in done.steps} | done.world.witnessed
    for order in done.world.databases["order"].states.values():
        names.add(order.cancellation_reason or order.status)
    for database in done.world.databases.values():
        names |= {"a pruned order was asked about"} if database.taken_back else set()
        for record in database.history():
            event, command = record.entry.event, record.entry.command.rpartition("/")[2]
            if (race := _BY_EVENT.get((command, type(event).__name__))) is not None:
                names.add(race)
            if getattr(event, "code", "") == "order_cancelled":
                names.add(REFUSED_LATE)
    return names


def missing(seen: Mapping[str, int]) -> list[str]:
    """What should be reached, and was not."""
    return [what for names in REACHED.values() for what in names if not seen.get(what)]


def by_heading(seen: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """In how many schedules each was reached."""
    counted = Counter(seen)
    return {heading: {what: counted[what] for what in names} for heading, names in REACHED.items()}

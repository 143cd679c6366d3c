"""Mutants: seeded defects of rules and of machinery, with the invariants that detect each.

They check the checker. A mutant is a Design like any other, so it runs under the same schedules.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from checkout import messages as m
from order_service import domain as order
from tests.simulation import defects
from tests.simulation.design import Design


@dataclass(frozen=True, slots=True)
class Mutant:
    """A seeded defect; it must break every invariant in `caught_by`."""

    mutate: Callable[[Design], Design]
    caught_by: frozenset[int]


def _caught(mutate: Callable[[Design], Design], *invariants: int) -> Mutant:
    return Mutant(mutate, frozenset(invariants))


MUTANTS: Final[Mapping[str, Mutant]] = {
    "orders share an idempotency key": _caught(defects.shared_key, 1),
    "no inbox claim": _caught(lambda d: d.without_machinery(inbox=False), 8),
    "the inbox forgets after a while": _caught(lambda d: d.without_machinery(inbox_lasts=40), 8),
    "no tombstone in inventory": _caught(
        lambda d: defects.forgetful(d, "inventory", m.StockReleased, lambda stock: str(stock.reservation.status)), 4
    ),
    "no tombstone in payment": _caught(
        lambda d: defects.forgetful(d, "payment", m.PaymentVoided, lambda state: str(state.status)), 4, 6
    ),
    "no tombstone in shipping": _caught(
        lambda d: defects.forgetful(d, "shipping", m.ShipmentCancelled, lambda state: str(state.status)), 4
    ),
    "stock update without condition": _caught(defects.oversell, 5),
    "some lines reserved, not all": _caught(defects.partial_reservation, 3),
    "released twice": _caught(defects.released_twice, 5),
    "released stock not put back": _caught(defects.stock_kept, 5),
    "pivot without condition": _caught(defects.unconditional_pivot, 4, 9, 10),
    "cancel answered without asking the pivot": _caught(defects.boastful_cancel, 10),
    "repeats are not answered": _caught(defects.mute_repeats, 2),
    "void without asking the provider": _caught(defects.void_without_call, 6),
    "void does not wait for the authorization under way": _caught(defects.void_does_not_wait, 6),
    "late authorization not voided": _caught(defects.late_authorization_kept, 6),
    "late booking not cancelled": _caught(defects.late_booking_kept, 4),
    "provider call without a key": _caught(lambda d: d.without_machinery(provider_knows_keys=False), 6),
    "time-out taken for a refusal": _caught(lambda d: d.without_machinery(unknown_stays_unknown=False), 6),
    "wrong amount captured": _caught(defects.wrong_amount, 6),
    "completed on the first answer": _caught(defects.hasty_completion, 3),
    "an answer is not written down": _caught(defects.forgotten_answer, 2),
    "a refusal leads nowhere": _caught(
        lambda d: defects.without_reaction(d, "order", m.PaymentDeclined, refused=m.OrderPlaced), 2
    ),
    "an undo's answer leads nowhere": _caught(
        lambda d: defects.without_reaction(d, "order", m.PaymentVoided, undone=m.OrderPlaced), 2
    ),
    "compensation is not asked for": _caught(defects.no_compensation_asked, 2),
    "the sweeper passes over pending orders": _caught(lambda d: defects.owes_nothing(d, order.PENDING), 2),
    "the sweeper passes over confirmed orders": _caught(lambda d: defects.owes_nothing(d, order.CONFIRMED), 2),
    "the sweeper passes over cancelled orders": _caught(lambda d: defects.owes_nothing(d, order.CANCELLED), 2),
    "no sweeper, and messages are acknowledged before the commit": _caught(
        lambda d: d.without_machinery(acknowledges_after_commit=False, sweeper=False), 2
    ),
    "published before the commit": _caught(lambda d: d.without_machinery(publishes_after_commit=False), 7),
    "pruned before the end": _caught(defects.pruned_early, 3),
    "the final row is forgotten too": _caught(defects.final_row_forgotten, 3, 8),
    "a final row does not answer": _caught(defects.final_row_decides, 8),
    "deadline ignored": _caught(lambda d: d.without_machinery(deadline=False), 2),
    "a handler that always fails": _caught(defects.commit_always_fails, 2, 8),
    "a handler that always fails, dead letters swallowed": _caught(
        lambda d: defects.commit_always_fails(d).without_machinery(keeps_dead_letters=False), 2
    ),
}

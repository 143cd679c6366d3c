"""In which sequence a provider allows the operations of one order.

Guarantee: pure. Money is captured at most once, in full, and only while an authorization is open; a parcel is
dispatched at most once, and only while a booking is open.
"""

from collections.abc import Mapping
from typing import Final

from checkout.provider_rules import decide
from provider_sandbox.records import Record
from sagakit.provider import ProviderCall, ProviderOutcome

# operation -> (operation required before, code if it is missing, operation excluded before, code if it was done)
_PRECONDITIONS: Final = {
    "capture": ("authorize", "not_authorized", "void", "already_voided"),
    "void": ("authorize", "nothing_to_void", "capture", "already_captured"),
    "dispatch": ("book", "not_booked", "cancel", "already_cancelled"),
    "cancel": ("book", "nothing_to_cancel", "dispatch", "already_dispatched"),
}


class NotAllowed(Exception):
    """The order's history does not allow the call: a defect of the caller. `code` says which rule it breaks."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def judge(call: ProviderCall, history: Mapping[str, Record]) -> ProviderOutcome:
    """Decide the outcome of a call with a new key; `history` holds the effects of the order by operation.

    Raises:
        NotAllowed: The history does not allow the call.
    """
    if call.operation in _PRECONDITIONS:
        required, missing, excluded, excluding = _PRECONDITIONS[call.operation]
        before = history.get(required)
        if before is None or before.outcome != "ok":
            raise NotAllowed(missing, f"{call.operation} needs a successful {required} before it.")
        if excluded in history:
            raise NotAllowed(excluding, f"{call.operation} is impossible after {excluded}.")
        if call.operation == "capture" and call.payload.get("amount") != before.money():
            raise NotAllowed("amount_mismatch", "capture must have exactly the authorized amount.")
    return decide(call)


def amount_of(call: ProviderCall, history: Mapping[str, Record]) -> tuple[int | None, str | None]:
    """The amount and currency of the effect: the call's own, or for a void those of its authorization."""
    money = call.payload.get("amount")
    if money is None and call.operation == "void":
        money = history["authorize"].money()
    return (None, None) if money is None else (money["amount"], money["currency"])

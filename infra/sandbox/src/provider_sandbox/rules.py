"""What a real provider insists on: the order in which the operations of one order are allowed.

Guarantee: pure. Money is captured at most once, in full, and only while an authorization is open;
parcels likewise.
"""

from collections.abc import Mapping
from typing import Final

from checkout.provider_rules import decide
from provider_sandbox.records import Record
from sagakit.provider import ProviderCall, ProviderOutcome

# operation -> (what must have been done, why not; what must not have been done, why not)
_PRECONDITIONS: Final = {
    "capture": ("authorize", "not_authorized", "void", "already_voided"),
    "void": ("authorize", "nothing_to_void", "capture", "already_captured"),
    "dispatch": ("book", "not_booked", "cancel", "already_cancelled"),
    "cancel": ("book", "nothing_to_cancel", "dispatch", "already_dispatched"),
}


class NotAllowed(Exception):
    """The call makes no sense at this point: a defect of the caller. `code` says which rule it breaks."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def judge(call: ProviderCall, history: Mapping[str, Record]) -> ProviderOutcome:
    """The outcome of a call with a new key; `history` holds what was done for the order, by operation.

    Raises `NotAllowed` when the order's history forbids it.
    """
    if call.operation in _PRECONDITIONS:
        needed, missing, excluded, taken = _PRECONDITIONS[call.operation]
        before = history.get(needed)
        if before is None or before.outcome != "ok":
            raise NotAllowed(missing, f"{call.operation} needs a successful {needed} before it.")
        if excluded in history:
            raise NotAllowed(taken, f"{call.operation} is impossible after {excluded}.")
        if call.operation == "capture" and call.payload.get("amount") != before.money():
            raise NotAllowed("amount_mismatch", "capture must have exactly the authorized amount.")
    return decide(call)


def amount_of(call: ProviderCall, history: Mapping[str, Record]) -> tuple[int | None, str | None]:
    """The amount and currency of the effect: the call's own, or those of the authorization it undoes."""
    money = call.payload.get("amount")
    if money is None and call.operation == "void":
        money = history["authorize"].money()
    return (None, None) if money is None else (money["amount"], money["currency"])

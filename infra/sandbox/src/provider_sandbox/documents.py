"""What the document of the sandbox says about its operations."""

from typing import Final, Literal

from typing_extensions import TypedDict

from checkout.messages import Money
from provider_sandbox.faults import FaultSettings
from sagakit.web.documents import FORBIDDEN, Code, Instant, described


class CallAnswer(TypedDict):
    """The outcome of a call, the same for all its repeats; `code` says why it is not `ok`."""

    outcome: Literal["ok", "declined", "refused"]
    code: str
    reference: str


class LedgerEntry(TypedDict):
    """One effect of a call."""

    order_id: str
    provider: Literal["payment", "carrier"]
    operation: Literal["authorize", "capture", "void", "book", "dispatch", "cancel"]
    outcome: Literal["ok", "declined", "refused"]
    code: str
    amount: Money | None
    key: str
    at: Instant


class LedgerPage(TypedDict):
    """A page of effects, oldest first."""

    items: list[LedgerEntry]
    next_cursor: str | None


class FaultState(FaultSettings):
    """The faults that are set, and how often each has fired."""

    fired: dict[str, int]


def _conflicts(**meanings: str) -> tuple[Code, ...]:
    return tuple(Code(name, 409, meaning) for name, meaning in meanings.items())


_KEY_REUSED: Final = Code("key_reused", 422, "The key was used with other content before.")
_PAYMENT: Final = _conflicts(
    not_authorized="There is no authorization to capture.",
    already_voided="The authorization is voided.",
    nothing_to_void="There is no authorization to void.",
    already_captured="The authorization is captured.",
    amount_mismatch="A capture must have the authorized amount.",
)
_CARRIER: Final = _conflicts(
    not_booked="There is no booking to dispatch.",
    already_cancelled="The booking is cancelled.",
    nothing_to_cancel="There is no booking to cancel.",
    already_dispatched="The parcel is dispatched.",
)
PAYMENT_CALL: Final = described(
    "call_payment",
    {200: CallAnswer},
    FORBIDDEN,
    _KEY_REUSED,
    *_PAYMENT,
    tag="calls",
    examples={"operation": "authorize"},
)
CARRIER_CALL: Final = described(
    "call_carrier", {200: CallAnswer}, FORBIDDEN, _KEY_REUSED, *_CARRIER, tag="calls", examples={"operation": "book"}
)
GET_CALL: Final = described(
    "get_call", {200: CallAnswer}, FORBIDDEN, tag="calls", examples={"key": "example-1/authorize"}
)
LIST_LEDGER: Final = described("list_ledger", {200: LedgerPage}, FORBIDDEN, tag="ledger")
GET_FAULTS: Final = described("get_faults", {200: FaultState}, FORBIDDEN, tag="faults", uses_store=False)
SET_FAULTS: Final = described("set_faults", {200: FaultState}, FORBIDDEN, tag="faults", uses_store=False)

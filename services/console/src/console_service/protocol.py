"""What the console knows about the saga: the part that each message plays, and who may follow whom. Pure.

All of it is read from CHECKOUT and from the table of subscriptions, but for the private events by which a service
records that it calls its provider: only their names are public, in timelines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from checkout import messages as m
from checkout.saga import CHECKOUT
from checkout.topology import SUBSCRIPTIONS
from sagakit.modes import MODES, SUBSTRATE_NAMES, resolve
from sagakit.saga import Step
from sagakit.topology import CHOREOGRAPHY

START: Final = "start"
HOLD: Final = "hold"
REFUSAL: Final = "refusal"
PIVOT: Final = "pivot"
SETTLE: Final = "settle"
UNDO: Final = "undo"
RECORD: Final = "record"
END: Final = "end"
OTHER: Final = "other"

ROLES: Final[Mapping[str, str]] = {
    START: "the order is placed",
    HOLD: "a hold, which can be undone",
    REFUSAL: "a refusal",
    PIVOT: "the decision: confirmed or cancelled, once and for all",
    SETTLE: "a hold is made final",
    UNDO: "compensation: a hold is given back",
    RECORD: "the order notes an answer",
    END: "the saga has ended",
    OTHER: "another message",
}
"""Each part with what it means."""

CALLS: Final[Mapping[str, str]] = {
    "PaymentAuthorizationRequested": "authorize",
    "PaymentCaptureRequested": "capture",
    "PaymentVoidRequested": "void",
    "LateAuthorizationVoidRequested": "void",
    "ShipmentBookingRequested": "book",
    "ShipmentDispatchRequested": "dispatch",
    "ShipmentCancellationRequested": "cancel",
    "LateBookingCancellationRequested": "cancel",
}
"""Private event -> the operation of the provider that it asks for; a test compares it with the services."""
OPERATIONS: Final = frozenset(CALLS.values())
AT_PROVIDER: Final[Mapping[str, tuple[str, ...]]] = {
    "AuthorizePayment": ("PaymentAuthorizationRequested",),
    "CapturePayment": ("PaymentCaptureRequested",),
    "VoidPayment": ("PaymentVoidRequested", "PaymentVoidDeferred"),
    "BookShipment": ("ShipmentBookingRequested",),
    "DispatchShipment": ("ShipmentDispatchRequested",),
    "CancelShipment": ("ShipmentCancellationRequested", "ShipmentCancellationDeferred"),
}
"""Command -> the private events after which it waits for an answer of the provider."""
_CALL_ROLES: Final = {
    "authorize": HOLD,
    "book": HOLD,
    "capture": SETTLE,
    "dispatch": SETTLE,
    "void": UNDO,
    "cancel": UNDO,
}
_PRIVATE_ROLES: Final[Mapping[str, str]] = {
    **{event: _CALL_ROLES[operation] for event, operation in CALLS.items()},
    "RecordAuthorization": HOLD,
    "RecordBooking": HOLD,
    "RecordCapture": SETTLE,
    "RecordDispatch": SETTLE,
    "RecordVoid": UNDO,
    "RecordCancellation": UNDO,
    "EndAuthorization": REFUSAL,
    "EndBooking": REFUSAL,
    "PaymentVoidDeferred": UNDO,
    "ShipmentCancellationDeferred": UNDO,
    "StockSettled": RECORD,
    "PaymentSettled": RECORD,
    "ShipmentSettled": RECORD,
    "DisownOrder": PIVOT,
}
ENDS: Final = {
    m.OrderConfirmed.__name__: m.OrderCompleted.__name__,
    m.OrderCancelled.__name__: m.CancellationSettled.__name__,
}
"""The pivot's answer -> the event that ends the saga."""

STATUS_AFTER: Final[Mapping[str, str]] = {
    m.OrderPlaced.__name__: "PENDING",
    m.OrderConfirmed.__name__: "CONFIRMED",
    m.OrderCancelled.__name__: "CANCELLED",
    m.OrderCompleted.__name__: "COMPLETED",
}
"""Event of the order -> the status that it has from then on."""


def _roles() -> dict[str, str]:
    roles = {m.PlaceOrder.__name__: START, CHECKOUT.started.__name__: START, **dict.fromkeys(ENDS.values(), END)}
    roles |= dict.fromkeys(
        ("ConfirmOrder", "CancelOrder", CHECKOUT.confirmed.__name__, CHECKOUT.cancelled.__name__), PIVOT
    )
    for step in CHECKOUT.steps:
        roles |= {name_of(step.do): HOLD, step.ok.__name__: HOLD, step.refused.__name__: REFUSAL}
        roles |= {name_of(step.settle): SETTLE, step.settled.__name__: SETTLE}
        roles |= {name_of(step.undo): UNDO, step.undone.__name__: UNDO, name_of(step.record): RECORD}
    return roles


def name_of(kind: object) -> str:
    """The name of a message's type."""
    return str(getattr(kind, "__name__", kind))


_ROLE_OF: Final[Mapping[str, str]] = {**_roles(), **_PRIVATE_ROLES}
PUBLIC_OWNER: Final[Mapping[str, str]] = {kind.__name__: owner for kind, owner in m.OWNER.items()}
"""Public message -> the service that handles it, if it is a command, or records it, if it is an event."""
STEPS: Final[tuple[Step, ...]] = CHECKOUT.steps


def role_of(message: str) -> str:
    """The part that a message plays."""
    return _ROLE_OF.get(message, OTHER)


def subscribes(service: str, event: str) -> bool:
    """Whether the service reacts to that event in choreography."""
    return any(kind.__name__ == event for kind in SUBSCRIPTIONS.get(service, ()))


@dataclass(frozen=True, slots=True)
class ModeView:
    """How a mode is shown: its name, whether services react to each other, and what carries the messages."""

    name: str
    choreography: bool
    transport: str

    @property
    def style(self) -> str:
        """The style as a word."""
        return "choreography" if self.choreography else "orchestration"


def mode_view(name: str) -> ModeView:
    """The mode of that name or alias; ValueError if there is none."""
    spec = MODES[resolve(name)]
    return ModeView(spec.name, spec.style == CHOREOGRAPHY, SUBSTRATE_NAMES[spec.substrate])

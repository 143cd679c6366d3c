"""The shipping service as a value: what the machinery runs, and what the simulation explores."""

from typing import Final

from checkout.messages import EVENTS_OF, PUBLIC
from sagakit.message import Vocabulary
from sagakit.service import ProviderPort, Service
from shipping_service.carrier import call, endings, outcome
from shipping_service.domain import (
    LateBookingCancellationRequested,
    LateBookingCancelled,
    LateBookingRefused,
    ShipmentBookingRequested,
    ShipmentCancellationDeferred,
    ShipmentCancellationRequested,
    ShipmentDispatchRequested,
    evolve,
)
from shipping_service.handlers import COMMANDS
from shipping_service.reactions import REACTIONS

_PRIVATE: Final = (
    ShipmentBookingRequested,
    ShipmentDispatchRequested,
    ShipmentCancellationDeferred,
    ShipmentCancellationRequested,
    LateBookingRefused,
    LateBookingCancellationRequested,
    LateBookingCancelled,
)

SERVICE: Final = Service(
    name="shipping",
    commands=COMMANDS,
    evolve=evolve,
    vocabulary=Vocabulary((*EVENTS_OF["shipping"], *_PRIVATE)),
    wire=PUBLIC,
    private=_PRIVATE,
    reactions=REACTIONS,
    provider=ProviderPort(call, outcome, endings),
)

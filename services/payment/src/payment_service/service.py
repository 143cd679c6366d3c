"""The payment service as a value: what the machinery runs, and what the simulation explores."""

from typing import Final

from checkout.messages import EVENTS_OF, PUBLIC
from payment_service.domain import (
    LateAuthorizationDeclined,
    LateAuthorizationVoided,
    LateAuthorizationVoidRequested,
    PaymentAuthorizationRequested,
    PaymentCaptureRequested,
    PaymentVoidDeferred,
    PaymentVoidRequested,
    evolve,
)
from payment_service.gateway import call, endings, outcome
from payment_service.handlers import COMMANDS
from payment_service.reactions import REACTIONS
from sagakit.message import Vocabulary
from sagakit.service import ProviderPort, Service

_PRIVATE: Final = (
    PaymentAuthorizationRequested,
    PaymentCaptureRequested,
    PaymentVoidDeferred,
    PaymentVoidRequested,
    LateAuthorizationDeclined,
    LateAuthorizationVoidRequested,
    LateAuthorizationVoided,
)

SERVICE: Final = Service(
    name="payment",
    commands=COMMANDS,
    evolve=evolve,
    vocabulary=Vocabulary((*EVENTS_OF["payment"], *_PRIVATE)),
    wire=PUBLIC,
    private=_PRIVATE,
    reactions=REACTIONS,
    provider=ProviderPort(call, outcome, endings),
)

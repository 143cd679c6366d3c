"""The payment service as a value, which the engine runs and the simulation explores."""

from typing import Final

from checkout.messages import EVENTS_OF, PUBLIC
from checkout.saga import PHASES
from checkout.sealing import SEALED
from payment_service.domain import PRIVATE, evolve
from payment_service.gateway import call, endings, outcome
from payment_service.handlers import COMMANDS
from payment_service.reactions import REACTIONS
from payment_service.retention import RETENTION
from sagakit.message import Vocabulary
from sagakit.service import ProviderPort, Service

SERVICE: Final = Service(
    name="payment",
    commands=COMMANDS,
    evolve=evolve,
    vocabulary=Vocabulary((*EVENTS_OF["payment"], *PRIVATE)),
    wire=PUBLIC,
    private=PRIVATE,
    reactions=REACTIONS,
    provider=ProviderPort(call, outcome, endings),
    retention=RETENTION,
    phases=PHASES,
    sealed=SEALED,
)

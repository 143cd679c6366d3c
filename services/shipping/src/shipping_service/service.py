"""The shipping service as a value, which the engine runs and the simulation explores."""

from typing import Final

from checkout.messages import EVENTS_OF, PUBLIC
from checkout.saga import PHASES
from checkout.sealing import SEALED
from sagakit.message import Vocabulary
from sagakit.service import ProviderPort, Service
from shipping_service.carrier import call, endings, outcome
from shipping_service.domain import PRIVATE, evolve
from shipping_service.handlers import COMMANDS
from shipping_service.reactions import REACTIONS
from shipping_service.retention import RETENTION

SERVICE: Final = Service(
    name="shipping",
    commands=COMMANDS,
    evolve=evolve,
    vocabulary=Vocabulary((*EVENTS_OF["shipping"], *PRIVATE)),
    wire=PUBLIC,
    private=PRIVATE,
    reactions=REACTIONS,
    provider=ProviderPort(call, outcome, endings),
    retention=RETENTION,
    phases=PHASES,
    sealed=SEALED,
)

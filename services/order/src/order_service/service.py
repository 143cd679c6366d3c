"""The order service as a value, which the engine runs and the simulation explores."""

from typing import Final

from checkout.messages import EVENTS_OF, PUBLIC
from checkout.saga import PHASES
from checkout.sealing import SEALED
from order_service.domain import PRIVATE, absent, evolve, owed, undecided
from order_service.handlers import COMMANDS
from order_service.reactions import REACTIONS
from order_service.retention import RETENTION
from sagakit.message import Vocabulary
from sagakit.service import SagaProgress, Service

SERVICE: Final = Service(
    name="order",
    commands=COMMANDS,
    evolve=evolve,
    vocabulary=Vocabulary((*EVENTS_OF["order"], *PRIVATE)),
    wire=PUBLIC,
    private=PRIVATE,
    reactions=REACTIONS,
    progress=SagaProgress(owed, undecided, finished=lambda order: order.settled, absent=absent),
    retention=RETENTION,
    phases=PHASES,
    sealed=SEALED,
)

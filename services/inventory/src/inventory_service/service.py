"""The inventory service as a value, which the engine runs and the simulation explores."""

from typing import Final

from checkout.messages import EVENTS_OF, PUBLIC
from checkout.saga import PHASES
from checkout.sealing import SEALED
from inventory_service.domain import StockReceived, evolve
from inventory_service.handlers import COMMANDS
from inventory_service.reactions import REACTIONS
from inventory_service.retention import RETENTION
from sagakit.message import Vocabulary
from sagakit.service import Service

SERVICE: Final = Service(
    name="inventory",
    commands=COMMANDS,
    evolve=evolve,
    vocabulary=Vocabulary((*EVENTS_OF["inventory"], StockReceived)),
    wire=PUBLIC,
    private=(StockReceived,),
    reactions=REACTIONS,
    retention=RETENTION,
    phases=PHASES,
    sealed=SEALED,
)

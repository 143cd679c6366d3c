"""The order service as a value, which the engine runs and the simulation explores."""

from typing import Final

from checkout.messages import EVENTS_OF, PUBLIC
from order_service.domain import (
    PaymentSettled,
    ShipmentSettled,
    StockSettled,
    absent,
    evolve,
    owed,
    undecided,
)
from order_service.handlers import COMMANDS
from order_service.reactions import REACTIONS
from sagakit.message import Vocabulary
from sagakit.service import Service

_PRIVATE: Final = (StockSettled, PaymentSettled, ShipmentSettled)

SERVICE: Final = Service(
    name="order",
    commands=COMMANDS,
    evolve=evolve,
    vocabulary=Vocabulary((*EVENTS_OF["order"], *_PRIVATE)),
    wire=PUBLIC,
    private=_PRIVATE,
    reactions=REACTIONS,
    owed=owed,
    undecided=undecided,
    absent=absent,
    finished=lambda order: order.settled,
)

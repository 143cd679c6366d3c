"""The order service as a value: what the machinery runs, and what the simulation explores."""

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
from sagakit.service import SagaProgress, Service

_PRIVATE: Final = (StockSettled, PaymentSettled, ShipmentSettled)

SERVICE: Final = Service(
    name="order",
    commands=COMMANDS,
    evolve=evolve,
    vocabulary=Vocabulary((*EVENTS_OF["order"], *_PRIVATE)),
    wire=PUBLIC,
    private=_PRIVATE,
    reactions=REACTIONS,
    progress=SagaProgress(owed, undecided, finished=lambda order: order.settled, absent=absent),
)

"""The rows that the auditor reads, as plain values."""

from dataclasses import dataclass
from datetime import datetime

from checkout.messages import Money
from order_service.domain import Order
from payment_service.domain import Payment
from sagakit.message import Event


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order, and the columns beside its state."""

    state: Order
    settled: bool
    customer: str | None

    @property
    def order_id(self) -> str:
        """The id in the state."""
        return self.state.order_id

    @property
    def status(self) -> str:
        """The status in the state."""
        return self.state.status


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment, and the columns beside its state."""

    state: Payment
    amount: int | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """The row of an order in a service's own table, whose JSON cannot be read; `why` quotes no values."""

    service: str
    order_id: str
    why: str


@dataclass(frozen=True, slots=True)
class InboxRow:
    """The id of a claimed command, and the id of the message that caused it, if any."""

    id: str
    cause: str | None
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A recorded event and the id of its command; `event` is None if its data cannot be read."""

    id: str
    seq: int
    subject: str
    name: str
    command: str
    event: Event | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message that is not published yet, or a call to a provider without an answer."""

    id: str
    channel: str
    is_call: bool
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A message that could not be handled, and that no operator has resolved."""

    id: str
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """An effect at a provider. `source` is "sandbox", or the service in whose database an instant provider wrote it."""

    order_id: str
    provider: str
    operation: str
    outcome: str
    amount: Money | None
    key: str
    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Records:
    """What the engine of one service has recorded."""

    inbox: tuple[InboxRow, ...] = ()
    journal: tuple[JournalRow, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    dead_letters: tuple[DeadLetterRow, ...] = ()


def subject_of(identity: str) -> str:
    """The subject in a derived id, `{subject}/{Name}`."""
    return identity.rpartition("/")[0]


def name_of(identity: str) -> str:
    """The name of the message, or of the operation, in a derived id."""
    return identity.rpartition("/")[2]

"""The seams to everything outside a service: Protocols of at most five methods, each with an in-memory twin."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from sagakit.message import Command, Event
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.service import Service, WorkingSet
from sagakit.wording import Stated
from sagakit.work import Item

CALLS: Final = "provider"
"""The channel of outbox rows that are calls to a provider."""


class StoreUnavailable(Stated):
    """The store could not be reached or did not answer in time: nothing has changed, or the outcome is unknown."""


class RowRejected(Stated):
    """The store refused something in the batch (a constraint, a bad value) without naming the culprit."""


class RowExists(RowRejected):
    """Another row has a value that must be unique: somebody else was first."""


class RowsLocked(Stated):
    """Another transaction holds rows that the batch needs: nothing has changed, and a retry may succeed soon.

    `subjects` are those whose rows are locked; empty if the store did not say which.
    """

    def __init__(self, subjects: frozenset[str] = frozenset(), detail: str = "") -> None:
        super().__init__(detail or f"rows of {', '.join(sorted(subjects)[:5])} are locked")
        self.subjects = subjects


class OutboxRow(msgspec.Struct, frozen=True):
    """A message on its way to a channel, or a call on its way to a provider (channel CALLS).

    `id` is the derived message id or the call's key; `key` orders related messages; `token` names the lease under
    which the row may be published and deleted; `attempts` counts how often it was postponed.
    """

    id: str
    channel: str
    key: str
    type: str
    body: bytes
    token: int = 0
    attempts: int = 0


class Claim(msgspec.Struct, frozen=True):
    """An inbox row: the id of a command, its subject, and the id of the message that caused it."""

    id: str
    subject: str
    cause: str | None


class JournalRow(msgspec.Struct, frozen=True):
    """An event, the id of the command that led to it, and its trace."""

    event: Event
    command: str
    traceparent: str | None = None


class LedgerEntry(msgspec.Struct, frozen=True):
    """What an in-process provider did, recorded in the service's own transaction."""

    call: ProviderCall
    outcome: ProviderOutcome


@dataclass(slots=True)
class Changes:
    """What one batch writes besides the states in the working set; outbox rows by their ids.

    `unclaimed` are the claims of this batch that it takes back, since they are about pruned subjects.
    """

    journal: list[JournalRow] = field(default_factory=list)
    outbox: dict[str, OutboxRow] = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)
    unclaimed: list[str] = field(default_factory=list)


class Transaction(Protocol):
    """One local transaction of one service: leaving its context commits, an exception rolls back."""

    async def claim_and_load(
        self, claims: Sequence[Claim], commands: Sequence[Command], nudged: Sequence[str]
    ) -> tuple[set[str], WorkingSet]:
        """Claim commands in the inbox; create missing rows, lock and load them. Each in sorted order: no deadlocks.

        Returns the ids that were not in the inbox before, and the states of what is commanded or nudged.
        """

    async def recorded(self, event_ids: Iterable[str]) -> dict[str, Event]:
        """The events of these ids that are in the journal."""

    async def save(self, working: WorkingSet, changes: Changes) -> None:
        """Write the changed states, the journal, the outbox (upsert by id) and the ledger; delete what is unclaimed."""


class Store(Protocol):
    """A service's own database. Its methods raise StoreUnavailable or RowsLocked where that is the case."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin a transaction. A commit that the store refuses raises RowRejected."""

    async def recorded(self, event_ids: Sequence[str]) -> dict[str, Event]:
        """As Transaction.recorded, in a transaction of its own."""

    async def lease_due(self, calls: bool, limit: int) -> Sequence[OutboxRow]:
        """Lease due outbox rows: provider calls, or messages."""

    async def delete(self, rows: Sequence[OutboxRow]) -> None:
        """Delete rows, each only while its lease token is still the given one."""

    async def postpone(self, rows: Sequence[OutboxRow], seconds: float) -> None:
        """Let the rows come due again after `seconds`, and count an attempt."""


class Delivery(msgspec.Struct, frozen=True):
    """One message as a broker delivered it.

    `receipt` is the transport's own handle; `attempt` is 1 plus the attempts that counted before. `broken` says why the
    transport could not read the message: `body` then only identifies it, and it can only become a dead letter.
    """

    body: bytes
    receipt: Any = None
    attempt: int = 1
    broken: str | None = None


class Retry(msgspec.Struct, frozen=True):
    """A delivery that is to come again after a pause, because it could not be handled now.

    `counts`: whether the failed attempt counts. It does not where the message is not at fault: its rows are locked.
    """

    delivery: Delivery
    counts: bool = True


class DeadDelivery(msgspec.Struct, frozen=True):
    """A delivery that is given up, and why. The service has written it down as a dead letter already."""

    delivery: Delivery
    cause: str


class Transport(Protocol):
    """A message broker as one service uses it: delivery at least once, in no order.

    A transport never decides that a message is given up; whoever receives from it does.
    """

    async def start(self) -> None:
        """Wait for the broker and make sure that the *whole* topology exists. May be called again."""

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Return when the broker has all rows; raise when it may lack any, so that all are published again."""

    async def receive(self) -> Sequence[Delivery]:
        """Wait for a batch of deliveries to this service; may return none after a while."""

    async def settle(self, done: Sequence[Delivery], retry: Sequence[Retry], dead: Sequence[DeadDelivery]) -> None:
        """Acknowledge `done`, let `retry` come again after a pause, put `dead` into the broker's dead-letter place.

        A retry that does not count stays with this consumer: `receive` returns it again as the same attempt. A dead
        delivery that the broker does not take comes again too. What is in none of the three comes again.
        """

    async def close(self) -> None:
        """Give back what was received and not settled, and disconnect. May come before `start`, and twice."""


@runtime_checkable
class Probed(Protocol):
    """A dependency that can be probed: a broker, a coordinator, a provider."""

    async def probe(self) -> None:
        """Raise unless it answers. Cheap; may be cancelled at any time; disturbs no other call."""


Redeliver = Callable[[bytes], Awaitable[str | None]]
"""Handles the body of a dead letter once more: None if it was handled, else why not."""


class Inlet(Protocol):
    """What a mode may ask of the service whose messages it carries."""

    @property
    def service(self) -> Service:
        """What the service is: its commands, reactions and vocabulary."""

    async def do(self, command: Command, cause: str | None = None, traceparent: str | None = None) -> Event | None:
        """Execute one command; its answer once it is committed: a private event while a call is under way.

        Raises StoreUnavailable or RowsLocked (send it again), or HandlerFailed (a bug).
        """

    async def conclude(
        self, command: Command, cause: str | None, seconds: float, traceparent: str | None = None
    ) -> Event | None:
        """Execute `command` and wait for its public answer; None if there was none within `seconds`: send it again."""

    async def do_until_stored(self, items: Sequence[Item]) -> Sequence[Event | BaseException | None]:
        """Handle all items, and retry while the store is unavailable. Failures of handlers are returned.

        StoreUnavailable is returned only when the service is stopping: such an item must not be acknowledged.
        """

    async def dead_letter(self, body: bytes, cause: str, subject: str | None = None) -> None:
        """Record a message that was given up; retries while the store is unavailable.

        Raises StoreUnavailable only when the service is stopping: such a message must not be acknowledged.
        """


class Mode(Protocol):
    """Who turns an event into the next command, and what carries it."""

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Any]]:
        """Pure: the (channel, message) pairs that the outbox is to carry for a public event.

        `again`: the event was recorded before, and a consumer may have missed it.
        """

    async def start(self, inlet: Inlet) -> Redeliver:
        """Connect, however long that takes; returns the handler of dead letters that an operator redelivers."""

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """As Transport.publish. Rows for channels of another mode are dropped: their messages are derived again."""

    async def run(self) -> None:
        """Consume until cancelled, and finish the deliveries in hand first."""

    async def close(self) -> None:
        """Disconnect."""

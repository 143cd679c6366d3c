"""One service's database in memory: the committed state, and the working set of a transaction.

Guarantee: nothing of a transaction is visible before `save`, and all of it is after.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from checkout.messages import ReserveStock
from inventory_service.domain import Reservation, Restock, StockItem, StockState
from order_service.domain import Order
from payment_service.domain import Payment
from sagakit.message import Command, Event, message_id
from sagakit.ports import Changes, Claim, JournalRow, OutboxRow
from shipping_service.domain import Shipment

BLANK: Final[Mapping[str, Callable[[str], Any]]] = {
    "order": Order,
    "inventory": Reservation,
    "payment": Payment,
    "shipping": Shipment,
}


@dataclass(frozen=True, slots=True)
class Record:
    """A journal row, and the tick of the commit that wrote it."""

    entry: JournalRow
    tick: int


def leased(row: OutboxRow, token: int) -> OutboxRow:
    """The same row under another lease."""
    return OutboxRow(row.id, row.channel, row.key, row.type, row.body, token)


@dataclass(slots=True)
class Database:
    """The tables of one service; `items` is the stock, which only inventory has."""

    name: str
    states: dict[str, Any] = field(default_factory=dict)
    items: dict[str, StockItem] = field(default_factory=dict)
    inbox: dict[str, Claim] = field(default_factory=dict)
    journal: list[Record] = field(default_factory=list)
    events: dict[str, Event] = field(default_factory=dict)
    outbox: dict[str, OutboxRow] = field(default_factory=dict)
    forgotten: list[Record] = field(default_factory=list)
    """What was pruned from the journal: for the invariants, no service sees it."""
    taken_back: int = 0
    """How many claims were about pruned subjects."""

    def copy(self) -> "Database":
        return Database(
            self.name,
            dict(self.states),
            dict(self.items),
            dict(self.inbox),
            list(self.journal),
            dict(self.events),
            dict(self.outbox),
            list(self.forgotten),
            self.taken_back,
        )

    def history(self) -> list[Record]:
        """All that was ever recorded."""
        return [*self.forgotten, *self.journal]

    def prune(self, subject: str, final: Any) -> None:
        """Delete what is recorded about the subject, but for its final row."""
        self.forgotten += [one for one in self.journal if one.entry.event.subject == subject]
        self.journal = [one for one in self.journal if one.entry.event.subject != subject]
        self.events = {key: event for key, event in self.events.items() if event.subject != subject}
        self.inbox = {key: claim for key, claim in self.inbox.items() if claim.subject != subject}
        self.states[subject] = final

    def unclaimed(self, claims: Sequence[Claim]) -> set[str]:
        """The claims that are new; `save` writes them."""
        return {claim.id for claim in claims if claim.id not in self.inbox}

    def recorded(self, event_ids: Iterable[str]) -> dict[str, Event]:
        return {key: self.events[key] for key in event_ids if key in self.events}

    def working(self) -> "Working":
        return Shelves(self) if self.name == "inventory" else Working(self)

    def save(self, working: "Working", claims: Sequence[Claim], changes: Changes, tick: int) -> None:
        """Commit. As in the real store, the first claim and the first record of an event stay.

        Rows of the outbox get a lease of their own, whoever held them before.
        """
        self.states.update(working.states)
        self.items.update(working.items)
        for claim in claims:
            if claim.id not in changes.unclaimed:
                self.inbox.setdefault(claim.id, claim)
        self.taken_back += len(changes.unclaimed)
        for entry in changes.journal:
            self.journal.append(Record(entry, tick))
            self.events.setdefault(message_id(entry.event), entry.event)
        for key, row in changes.outbox.items():
            self.outbox[key] = leased(row, tick)

    def digest(self) -> bytes:
        """Equal for two databases that behave the same from now on."""
        return msgspec.json.encode(
            (
                self.states,
                self.items,
                sorted(self.inbox),
                sorted((message_id(one.entry.event), one.entry.command) for one in self.journal),
                sorted(self.outbox),
            ),
            order="deterministic",
        )


class Working:
    """The states of one transaction; a state that was not put is the committed one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.states: dict[str, Any] = {}
        self.items: dict[str, StockItem] = {}

    def get(self, subject: str, command: Command | None) -> Any:
        return self._row(subject)

    def put(self, subject: str, state: Any) -> None:
        self.states[subject] = state

    def _row(self, subject: str) -> Any:
        for rows in (self.states, self._database.states):
            if subject in rows:
                return rows[subject]
        return BLANK[self._database.name](subject)


class Shelves(Working):
    """Inventory's: a reservation with the stock items that it or the command is about."""

    def get(self, subject: str, command: Command | None) -> StockState:
        reservation = self._row(subject)
        skus = set(reservation.lines)
        if isinstance(command, ReserveStock):
            skus |= {line.sku for line in command.checkout.lines}
        elif isinstance(command, Restock):
            skus.add(command.sku)
        items = {**self._database.items, **self.items}
        return StockState(reservation, {sku: items[sku] for sku in sorted(skus) if sku in items})

    def put(self, subject: str, state: StockState) -> None:
        if state.reservation != Reservation(subject):
            self.states[subject] = state.reservation
        self.items.update(state.items)

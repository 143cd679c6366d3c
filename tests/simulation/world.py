"""Four services, a network and the outside world, which move one small act at a time. No clock, no randomness, no I/O.

Everything that decides is production code: handlers, reactions, styles, topology and `apply_batch`. This module stands
in for the dispatcher, the relay, the provider calls and the broker, with the same guarantees: a batch is committed
wholly or not at all, a handler that raises fails alone, delivery is at least once and in no order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
from msgspec.structs import replace

from checkout.messages import OrderCancelled, OrderConfirmed
from inventory_service.domain import StockItem
from sagakit import envelope
from sagakit.engine.batch import apply_batch, candidates, claims
from sagakit.message import Event, Message, UnknownMessage, message_id
from sagakit.modes.styles import style_of
from sagakit.ports import CALLS, Changes, Claim, Mode, OutboxRow
from sagakit.provider import ProviderCall, ProviderOutcome, ProviderRejected
from sagakit.service import ProviderPort
from sagakit.work import Execute, HandlerFailed, Item, describe
from tests.simulation.carrier import Carrier, Parcel
from tests.simulation.design import Design
from tests.simulation.memory import Database
from tests.simulation.outside import Outside
from tests.simulation.scenario import Scenario
from tests.simulation.sealed import decide_opened


@dataclass(frozen=True, slots=True)
class Hand:
    """An outbox row that another process has leased; `answer`: the provider's, if it is a call that was made."""

    service: str
    row: OutboxRow
    answer: ProviderOutcome | None = None


decode_call: Callable[[bytes], ProviderCall] = msgspec.json.Decoder(ProviderCall).decode
Answer = Event | None | HandlerFailed


class World:
    """The whole world; `eternal`: sent messages stay deliverable for ever, and leased calls may run at any time."""

    def __init__(self, design: Design, scenario: Scenario, eternal: bool = False) -> None:
        self.design, self.scenario, self.eternal = design, scenario, eternal
        self.services, self.styles = design.services, design.styles()
        self.carrier = Carrier(dict.fromkeys(self.services, design.style), eternal)
        self.databases = {name: Database(name) for name in self.services}
        self.databases["inventory"].items = {
            sku: StockItem(sku, received=count, available=count) for sku, count in scenario.stock
        }
        self.leased: dict[str, str] = {}
        self.hands: dict[str, Hand] = {}
        self.outside = Outside(keyed=design.machinery.provider_knows_keys)
        self.sent: dict[str, Message] = {}
        self.told: dict[str, list[Event]] = {}
        self.dead: list[str] = []
        self.lies: list[str] = []
        self.witnessed: set[str] = set()
        self.tick = 0

    @property
    def network(self) -> dict[str, list[Parcel]]:
        """The messages that can be delivered now."""
        return self.carrier.awake

    def adopt(self, style: str) -> None:
        """Restart all services in `style`."""
        for name in self.services:
            self.roll(name, style)

    def roll(self, name: str, style: str) -> None:
        """Restart the processes of one service in `style`."""
        if self.carrier.running[name] != style:
            self.styles[name] = style_of(style, self.services[name], self.design.saga)
            self.carrier.run(name, style)

    def copy(self) -> "World":
        twin = object.__new__(World)
        twin.__dict__.update(self.__dict__)
        twin.databases = {name: database.copy() for name, database in self.databases.items()}
        twin.carrier, twin.styles = self.carrier.copy(), dict(self.styles)
        twin.leased, twin.sent, twin.hands = dict(self.leased), dict(self.sent), dict(self.hands)
        twin.witnessed = set(self.witnessed)
        twin.outside = self.outside.copy()
        twin.told = {key: list(events) for key, events in self.told.items()}
        twin.dead, twin.lies = list(self.dead), list(self.lies)
        return twin

    def digest(self, network: bool = True) -> bytes:
        """Equal for worlds that behave the same from now on; without the network, if all messages were lost."""
        parts = [database.digest() for database in self.databases.values()]
        under_way = (self.carrier.under_way(), self.carrier.running, sorted(self.leased)) if network else ()
        rest = (sorted(self.outside.answers), len(self.outside.ledger), len(self.dead), under_way)
        return b"\0".join((*parts, msgspec.json.encode(rest)))

    def claim_and_load(self, name: str, items: Sequence[Item], crash: bool = False) -> list[Answer]:
        """Commit `items` as the dispatcher does; with `crash`, die just before the commit: nothing is kept."""
        try:
            return list(self._transact(name, items, crash))
        except HandlerFailed as failure:
            if len(items) == 1:
                return [failure]
            rest = [item for item in items if item is not failure.item]
            answers = dict(zip(map(id, rest), self.claim_and_load(name, rest, crash), strict=True))
            answers[id(failure.item)] = self.claim_and_load(name, [failure.item], crash)[0]
            return [answers[id(item)] for item in items]

    def _transact(self, name: str, items: Sequence[Item], crash: bool) -> list[Event | None]:
        service, database = self.services[name], self.databases[name]
        rows = claims(items)
        fresh = self._fresh(database, rows)
        working = database.working()
        mode = cast(Mode, self.styles[name])  # of a mode, apply_batch uses only what a style has
        ids = {key for item in items if isinstance(item, Execute) for key in candidates(service, item.command)}
        answers, changes = apply_batch(service, mode, items, fresh, working, database.recorded(ids), self._decide_now)
        if not self.design.machinery.publishes_after_commit:
            self._publish(name, changes)
        if not crash:
            self.tick += 1
            database.save(working, rows, changes, self.tick)
            for entry in changes.ledger:
                self.outside.note(entry.call, entry.outcome)
            if self.eternal:
                for row in changes.outbox.values():
                    self.relay(name, row.id)
        return answers

    def _fresh(self, database: Database, rows: Sequence[Claim]) -> set[str]:
        """The claims that are new to the inbox, as far as there is one."""
        lasts = self.design.machinery.inbox_lasts
        if not self.design.machinery.inbox:
            return {row.id for row in rows}
        if lasts is None:
            return database.unclaimed(rows)
        claimed = {record.entry.command for record in database.journal if record.tick > self.tick - lasts}
        return {row.id for row in rows if row.id not in claimed}

    def _decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        if call.provider not in self.scenario.instant:
            return None
        return decide_opened(call)

    def _publish(self, name: str, changes: Changes) -> None:
        for row in changes.outbox.values():
            if row.channel != CALLS:
                self.send(name, row)

    def ask_order(self, item: Execute, crash: bool = False) -> Answer:
        """Execute a command of a client or of the sweeper in the order service; records what the client is told."""
        answer = self.claim_and_load("order", [item], crash)[0]
        if isinstance(answer, HandlerFailed):
            self.dead_letter(item, answer)
        elif isinstance(answer, OrderConfirmed | OrderCancelled) and not crash:
            self.told.setdefault(item.subject, []).append(answer)
        return answer

    def relay(self, name: str, row_id: str, marked: bool = True) -> None:
        """Publish an outbox row, or lease the call that it asks for; unmarked, it will be published again."""
        row = self.databases[name].outbox[row_id]
        if row.channel == CALLS:
            self.leased[row_id] = name
            return
        if self.carrier.knows(name, row.channel):
            self.send(name, row)
        if marked:
            del self.databases[name].outbox[row_id]

    def send(self, name: str, row: OutboxRow) -> None:
        """Send a row to every subscriber of its channel and type."""
        try:
            parcel = replace(envelope.decode(row.body, self.services[name].wire), time=None)
        except UnknownMessage as error:
            self.lies.append(str(error))
            return
        before = self.sent.setdefault(row.id, parcel.message)
        if before != parcel.message or parcel.id != row.id:
            self.lies.append(f"two messages under the id {row.id}: {before} and {parcel.message}")
        self.carrier.send(row, parcel)

    def deliver(self, keys: Sequence[str], fate: str = "ok") -> None:
        """Deliver parcels of one consumer in one batch.

        `fate`: ok; crash, before the commit; unacked, a crash after the commit and before the acknowledgement.
        """
        parcels = [self.network[key][0] for key in keys]
        consumer = parcels[0].consumer
        early = not self.design.machinery.acknowledges_after_commit
        if early and not self.eternal:
            self.carrier.lose(keys)
        handled = [(parcel, self.styles[consumer].accept(parcel.envelope)) for parcel in parcels]
        items = [item for _, item in handled if item is not None]
        for item, answer in zip(items, self.claim_and_load(consumer, items, fate == "crash"), strict=True):
            if isinstance(answer, HandlerFailed):
                self.dead_letter(item, answer)
        if fate == "ok" and not early and not self.eternal:
            self.carrier.lose(keys)

    def dead_letter(self, item: Item, failure: HandlerFailed) -> None:
        """Record a dead letter: the broker allows no more redeliveries."""
        if self.design.machinery.keeps_dead_letters:
            self.dead.append(f"{describe(item)}: {failure}")

    def ask(self, row: OutboxRow) -> ProviderOutcome | None:
        """Make the call of `row`; None if the provider rejects it."""
        try:
            return self.outside.ask(decode_call(row.body))
        except ProviderRejected:
            return None

    def called(self, key: str) -> OutboxRow:
        """The row of the call that was leased under `key`."""
        return self.databases[self.leased[key]].outbox[key]

    def record(self, key: str, outcome: ProviderOutcome, fate: str = "ok") -> None:
        """Record an answer. `fate`: ok; crash, before the commit; unmarked, just after it."""
        name = self.leased[key]
        recorded = self.conclude(name, self.called(key), outcome, fate == "crash")
        if recorded and fate == "ok" and not self.eternal:
            del self.databases[name].outbox[key], self.leased[key]

    def conclude(self, name: str, row: OutboxRow, outcome: ProviderOutcome, crash: bool = False) -> bool:
        """Record the answer to the call in `row` in service `name`; returns whether it was handled."""
        try:
            command = self.port(name).outcome(decode_call(row.body), outcome)
        except ProviderRejected:
            return False  # no answer: the call remains, and is retried
        item = Execute(command, row.id)
        answer = self.claim_and_load(name, [item], crash)[0]
        if isinstance(answer, HandlerFailed):
            self.dead_letter(item, answer)
            return False
        return True

    def port(self, name: str) -> ProviderPort:
        """What the service asks of its provider."""
        port = self.services[name].provider
        assert port is not None
        return port

    def is_recorded(self, key: str) -> bool:
        """Whether the answer to that call has gone through the door."""
        name = self.leased[key]
        command = self.port(name).outcome(decode_call(self.called(key).body), self.outside.answers[key])
        return message_id(command) in self.databases[name].inbox

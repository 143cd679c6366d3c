"""Four services, a network and the outside world, moved one small act at a time. No clock, no chance, no I/O.

Everything that decides is production code: handlers, reactions, styles, topology and the door. This module stands in
for the dispatcher, the relay, the caller and the broker, with the same promises: a batch is committed wholly or not
at all, a handler that raises fails alone, delivery is at least once and in no order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import msgspec

from checkout.messages import OrderCancelled, OrderConfirmed
from checkout.topology import topology_of
from inventory_service.domain import StockItem
from sagakit import envelope
from sagakit.door import Do, HandlerFailed, Item, candidates, claims, describe, open_batch
from sagakit.envelope import Envelope
from sagakit.message import Event, Message, UnknownMessage, message_id
from sagakit.ports import CALLS, Changes, Mode, Outgoing
from sagakit.provider import ProviderCall, ProviderOutcome, ProviderRejected
from tests.simulation.design import Design
from tests.simulation.memory import Database
from tests.simulation.outside import Outside
from tests.simulation.scenario import Scenario
from tests.simulation.sealed import decide_opened

decode_call: Callable[[bytes], ProviderCall] = msgspec.json.Decoder(ProviderCall).decode
Answer = Event | None | HandlerFailed


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message on its way to one consumer."""

    consumer: str
    envelope: Envelope

    @property
    def key(self) -> str:
        return f"{self.consumer} < {self.envelope.id}"


class World:
    """`eternal`: a message once sent stays deliverable for ever, and a call once leased may run at any time."""

    def __init__(self, design: Design, scenario: Scenario, eternal: bool = False) -> None:
        self.scenario, self.eternal = scenario, eternal
        self.services = design.services
        self.adopt(design)
        self.databases = {name: Database(name) for name in self.services}
        self.databases["inventory"].items = {
            sku: StockItem(sku, received=count, available=count) for sku, count in scenario.stock
        }
        self.leased: dict[str, str] = {}
        self.outside = Outside(keyed=design.machinery.provider_knows_keys)
        self.sent: dict[str, Message] = {}
        self.told: dict[str, list[Event]] = {}
        self.dead: list[str] = []
        self.lies: list[str] = []
        self.tick = 0

    def adopt(self, design: Design) -> None:
        """Start all services again in the style of `design`; what the old broker holds is never delivered."""
        self.design, self.styles = design, design.styles()
        self.network: dict[str, list[Parcel]] = {}
        self.consumers: dict[tuple[str, str], list[str]] = {}
        for one in topology_of(design.style).subscriptions:
            for kind in one.types:
                self.consumers.setdefault((one.channel, kind), []).append(one.consumer)

    def copy(self) -> "World":
        twin = object.__new__(World)
        twin.__dict__.update(self.__dict__)
        twin.databases = {name: database.copy() for name, database in self.databases.items()}
        twin.network = {key: list(parcels) for key, parcels in self.network.items()}
        twin.leased, twin.sent = dict(self.leased), dict(self.sent)
        twin.outside = self.outside.copy()
        twin.told = {key: list(events) for key, events in self.told.items()}
        twin.dead, twin.lies = list(self.dead), list(self.lies)
        return twin

    def digest(self, network: bool = True) -> bytes:
        """Equal for worlds that no future can tell apart; without the network, if all messages were lost."""
        parts = [database.digest() for database in self.databases.values()]
        under_way = (sorted(self.network), sorted(self.leased)) if network else ()
        rest = (sorted(self.outside.answers), len(self.outside.ledger), len(self.dead), under_way)
        return b"\0".join((*parts, msgspec.json.encode(rest)))

    # --- the door ---

    def enter(self, name: str, items: Sequence[Item], crash: bool = False) -> list[Answer]:
        """Commit `items` as the dispatcher does; with `crash`, die just before the commit: nothing is kept."""
        try:
            return list(self._transact(name, items, crash))
        except HandlerFailed as failure:
            if len(items) == 1:
                return [failure]
            rest = [item for item in items if item is not failure.item]
            answers = dict(zip(map(id, rest), self.enter(name, rest, crash), strict=True))
            answers[id(failure.item)] = self.enter(name, [failure.item], crash)[0]
            return [answers[id(item)] for item in items]

    def _transact(self, name: str, items: Sequence[Item], crash: bool) -> list[Event | None]:
        service, database = self.services[name], self.databases[name]
        rows = claims(items)
        fresh = database.unclaimed(rows) if self.design.machinery.inbox else {row.id for row in rows}
        working = database.working()
        mode = cast(Mode, self.styles[name])  # of a mode, the door uses only what a style has
        wanted = {key for item in items if isinstance(item, Do) for key in candidates(service, item.command)}
        answers, changes = open_batch(service, mode, items, fresh, working, database.recorded(wanted), self._decide_now)
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

    def _decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        if call.provider not in self.scenario.instant:
            return None
        return decide_opened(call)

    def _publish(self, name: str, changes: Changes) -> None:
        for row in changes.outbox.values():
            if row.channel != CALLS:
                self.send(name, row)

    def ask_order(self, item: Do, crash: bool = False) -> Answer:
        """A client's, or the sweeper's, command at the order's door; what a client is told is remembered."""
        answer = self.enter("order", [item], crash)[0]
        if isinstance(answer, HandlerFailed):
            self.bury(item, answer)
        elif isinstance(answer, OrderConfirmed | OrderCancelled) and not crash:
            self.told.setdefault(item.subject, []).append(answer)
        return answer

    # --- the network ---

    def relay(self, name: str, row_id: str, marked: bool = True) -> None:
        """Publish an outbox row, or lease the call that it asks for; unmarked, it will be published again."""
        row = self.databases[name].outbox[row_id]
        if row.channel == CALLS:
            self.leased[row_id] = name
            return
        self.send(name, row)
        if marked:
            del self.databases[name].outbox[row_id]

    def send(self, name: str, row: Outgoing) -> None:
        """To every subscriber of the row's channel and type."""
        try:
            parcel = envelope.decode(row.body, self.services[name].wire)
        except UnknownMessage as error:
            self.lies.append(str(error))
            return
        known = self.sent.setdefault(parcel.id, parcel.message)
        if known != parcel.message:
            self.lies.append(f"two messages under the id {parcel.id}: {known} and {parcel.message}")
        for consumer in self.consumers.get((row.channel, row.type), ()):
            one = Parcel(consumer, replace(parcel, time=None))
            if not (self.eternal and one.key in self.network):
                self.network.setdefault(one.key, []).append(one)

    def deliver(self, keys: Sequence[str], fate: str = "ok") -> None:
        """Hand parcels of one consumer to its door, in one batch.

        `fate`: ok; crash, before the commit; unacked, a crash after the commit and before the acknowledgement.
        """
        parcels = [self.network[key][0] for key in keys]
        consumer = parcels[0].consumer
        early = not self.design.machinery.acknowledges_after_commit
        if early and not self.eternal:
            self.lose(keys)
        handled = [(parcel, self.styles[consumer].accept(parcel.envelope)) for parcel in parcels]
        items = [item for _, item in handled if item is not None]
        for item, answer in zip(items, self.enter(consumer, items, fate == "crash"), strict=True):
            if isinstance(answer, HandlerFailed):
                self.bury(item, answer)
        if fate == "ok" and not early and not self.eternal:
            self.lose(keys)

    def lose(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.network[key].pop(0)
            if not self.network[key]:
                del self.network[key]

    def bury(self, item: Item, failure: HandlerFailed) -> None:
        """A message that was given up, after so many repetitions as the broker allows."""
        if self.design.machinery.buries:
            self.dead.append(f"{describe(item)}: {failure}")

    # --- the outside world ---

    def ask(self, key: str) -> ProviderOutcome | None:
        """Make the call that was leased under `key`; None if the provider does not allow it."""
        try:
            return self.outside.ask(decode_call(self.databases[self.leased[key]].outbox[key].body))
        except ProviderRejected:
            return None

    def record(self, key: str, outcome: ProviderOutcome, fate: str = "ok") -> None:
        """Bring an answer through the door. `fate`: ok; crash, before the commit; unmarked, just after it."""
        name = self.leased[key]
        database = self.databases[name]
        try:
            command = self.services[name].outcome(decode_call(database.outbox[key].body), outcome)
        except ProviderRejected:
            return  # no answer: the call stands, and is made again
        item = Do(command, key)
        answer = self.enter(name, [item], fate == "crash")[0]
        if isinstance(answer, HandlerFailed):
            self.bury(item, answer)
        elif fate == "ok" and not self.eternal:
            del database.outbox[key]
            del self.leased[key]

    def is_recorded(self, key: str) -> bool:
        """Whether the answer to that call has gone through the door."""
        name = self.leased[key]
        call = decode_call(self.databases[name].outbox[key].body)
        return message_id(self.services[name].outcome(call, self.outside.answers[key])) in self.databases[name].inbox

"""A service with the smallest rules that use every feature of the door: a plain command, a call, and what is owed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec

from sagakit import envelope
from sagakit.engine.batch import apply_batch, candidates, claims
from sagakit.message import Command, Event, Message, Vocabulary, message_id
from sagakit.ports import Changes, Mode
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.service import Handler, ProviderPort, SagaProgress, Service
from sagakit.work import Execute, Item


class About(Message, frozen=True):
    thing: str

    @property
    def subject(self) -> str:
        return self.thing


class Count(About, Command, frozen=True):
    by: int


class Buy(About, Command, frozen=True):
    pass


class RecordBuy(About, Command, frozen=True):
    outcome: str


class Counted(About, Event, frozen=True):
    by: int


class BuyRequested(About, Event, frozen=True):
    pass


class Bought(About, Event, frozen=True):
    pass


class NotBought(About, Event, frozen=True):
    pass


@dataclass(frozen=True, slots=True)
class State:
    count: int = 0
    status: str = "NEW"


def count(command: Count, state: State) -> Event:
    if command.by < 0:
        raise ValueError("cannot count backwards")
    return Counted(command.thing, command.by)


def buy(command: Buy, state: State) -> Event:
    return BuyRequested(command.thing)


def record(command: RecordBuy, state: State) -> Event:
    return Bought(command.thing) if command.outcome == "ok" else NotBought(command.thing)


def evolve(state: State, event: Event) -> State:
    if isinstance(event, Counted):
        return replace(state, count=state.count + event.by)
    return replace(state, status=type(event).__name__)


SERVICE = Service(
    name="toy",
    commands={
        Count: Handler(count, (Counted,)),
        Buy: Handler(buy, (Bought, NotBought)),
        RecordBuy: Handler(record, (Bought, NotBought)),
    },
    evolve=evolve,
    vocabulary=Vocabulary((Counted, BuyRequested, Bought, NotBought)),
    wire=Vocabulary((Count, Counted, Bought, NotBought)),
    private=(BuyRequested,),
    provider=ProviderPort(
        call=lambda event: (
            ProviderCall(f"{event.subject}/buy", "shop", "buy", {"thing": event.subject})
            if isinstance(event, BuyRequested)
            else None
        ),
        outcome=lambda call, outcome: RecordBuy(str(call.payload["thing"]), outcome.outcome),
        endings=lambda call: {},
    ),
    progress=SagaProgress(
        owed=lambda state: Counted("a", state.count) if state.count else None,
        undecided=lambda event: isinstance(event, Counted) and event.by < 10,
        finished=lambda state: False,
        absent=lambda state: False,
    ),
)


@dataclass
class Pairs:
    """A mode that sends every event to one channel, and notes which it was asked to send again."""

    again: list[str] = field(default_factory=list)

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        if again:
            self.again.append(message_id(event))
        return (("channel", event),)


@dataclass
class Memory:
    """A store of one service: what has been committed so far."""

    states: dict[str, State] = field(default_factory=dict)
    inbox: set[str] = field(default_factory=set)
    events: dict[str, Event] = field(default_factory=dict)
    mode: Pairs = field(default_factory=Pairs)
    instant: Mapping[str, ProviderOutcome] = field(default_factory=dict)

    def get(self, subject: str, command: Command | None) -> State:
        return self.states.get(subject, State())

    def put(self, subject: str, state: Any) -> None:
        self.states[subject] = state

    def claim_and_load(self, *items: Item) -> tuple[list[Event | None], Changes]:
        """One transaction."""
        fresh = {claim.id for claim in claims(items)} - self.inbox
        ids = {key for item in items if isinstance(item, Execute) for key in candidates(SERVICE, item.command)}
        recorded = {key: self.events[key] for key in ids if key in self.events}
        answers, changes = apply_batch(
            SERVICE, cast(Mode, self.mode), items, fresh, self, recorded, lambda call: self.instant.get(call.operation)
        )
        self.inbox |= fresh
        self.events |= {message_id(entry.event): entry.event for entry in changes.journal}
        return answers, changes


def sent(changes: Changes) -> list[Message]:
    """The messages in the outbox."""
    rows = [row for row in changes.outbox.values() if row.channel == "channel"]
    return [envelope.decode(row.body, SERVICE.wire).message for row in rows]


def called(changes: Changes) -> list[ProviderCall]:
    """The calls in the outbox."""
    rows = [row for row in changes.outbox.values() if row.channel == "provider"]
    return [msgspec.json.decode(row.body, type=ProviderCall) for row in rows]

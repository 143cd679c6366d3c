"""What a batch of commands does to locked states. Synchronous and pure.

The dispatcher wraps it in a transaction; the simulation calls it with states of its own. Commands of one batch about
the same subject are applied one after another, in the order of their arrival.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from sagakit import envelope
from sagakit.message import Command, Event, id_of, message_id
from sagakit.ports import CALLS, Changes, Claim, JournalRow, LedgerEntry, Mode, OutboxRow
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.service import OutOfTurn, Service, WorkingSet
from sagakit.work import Continue, Execute, HandlerFailed, Item, Nudge

DecideNow = Callable[[ProviderCall], ProviderOutcome | None]
"""The outcome of a call without any I/O; None if the provider has to be called."""


def claims(items: Sequence[Item]) -> list[Claim]:
    """The inbox rows of a batch, sorted by id, one for each command."""
    rows: dict[str, Claim] = {}
    for item in items:
        if isinstance(item, Execute):
            identity = message_id(item.command)
            rows.setdefault(identity, Claim(identity, item.subject, item.cause))
    return [rows[key] for key in sorted(rows)]


def candidates(service: Service, command: Command) -> list[str]:
    """The ids of the events that can conclude `command`, strongest first."""
    return [id_of(command.subject, kind) for kind in service.commands[type(command)].answers]


def apply_batch(
    service: Service,
    mode: Mode,
    items: Sequence[Item],
    fresh: set[str],
    working: WorkingSet,
    recorded: Mapping[str, Event],
    decide_now: DecideNow,
    token: int = 0,
) -> tuple[list[Event | None], Changes]:
    """Apply `items` to `working`; the answer to each, and what is to be written.

    Args:
        service: Whose commands these are.
        mode: Names the messages that an event leads to.
        items: What to do, in this order.
        fresh: The ids of commands that were claimed just now. Any other command is a repeat: it has no effect, and is
            answered again from `recorded`. So is a command about a pruned subject, from its final row.
        working: The locked states.
        recorded: Events already in the journal that can answer a repeat, by id.
        decide_now: Is asked before a call goes to the outbox: an instant provider answers at once.
        token: Names the lease of the outbox rows.

    Returns:
        An answer for each item: a public event, a private one while a call is under way, or None for a repeat while it
        is; and the changes to write.

    Raises:
        HandlerFailed: A handler raised. It names the item; nothing of the batch may be kept.
    """
    batch = _Batch(service, mode, working, dict(recorded), decide_now, token, datetime.now(UTC))
    unclaimed = set(fresh)
    answers: list[Event | None] = []
    for item in items:
        try:
            if not isinstance(item, Execute):
                answers.append(batch.send_on(item))
            elif (outcome := batch.outcome(item)) is not None:
                answers.append(batch.answer_finally(item, outcome, unclaimed))
            elif (identity := message_id(item.command)) in unclaimed:
                unclaimed.discard(identity)
                answers.append(batch.execute(item))
            else:
                answers.append(batch.answer_again(item))
        except Exception as error:
            raise HandlerFailed(item, error) from error
    return answers, batch.changes


@dataclass(slots=True)
class _Batch:
    service: Service
    mode: Mode
    working: WorkingSet
    recorded: dict[str, Event]
    decide_now: DecideNow
    token: int
    now: datetime
    changes: Changes = field(default_factory=Changes)

    def execute(self, item: Execute) -> Event:
        """Decide a new command, and the answer of a provider that can decide at once."""
        event, identity = self._decide(item)
        port = self.service.provider
        call = port.call(event) if port is not None else None
        if port is None or call is None:
            self._emit(event, item.traceparent, identity)
            return event
        outcome = self.decide_now(call)
        if outcome is None:
            body = msgspec.json.encode(replace(call, traceparent=item.traceparent))
            self.changes.outbox[call.key] = OutboxRow(call.key, CALLS, item.subject, call.operation, body, self.token)
            return event
        self.changes.ledger.append(LedgerEntry(call, outcome))
        return self.execute(Execute(port.outcome(call, outcome), identity, item.traceparent))

    def answer_again(self, item: Execute) -> Event | None:
        """A repeat has no effect; its answer is published again while somebody may still wait for it."""
        ids = candidates(self.service, item.command)
        answer = next((self.recorded[key] for key in ids if key in self.recorded), None)
        if answer is not None and not self._is_finished(item):
            self._emit(answer, item.traceparent, again=True)
        return answer

    def outcome(self, item: Execute) -> Event | None:
        """What a command about a pruned subject is answered with; None if the subject is not pruned."""
        retention = self.service.retention
        if retention is None:
            return None
        state = self.working.get(item.subject, item.command)
        return retention.outcome(state, item.command) if retention.pruned(state) else None

    def answer_finally(self, item: Execute, outcome: Event, unclaimed: set[str]) -> Event:
        """A command about a pruned subject has no effect: its final row answers, and its claim is taken back."""
        identity = message_id(item.command)
        if identity in unclaimed:
            unclaimed.discard(identity)
            self.changes.unclaimed.append(identity)
        if not self._is_finished(item):
            self._emit(outcome, item.traceparent, again=True)
        return outcome

    def send_on(self, item: Continue | Nudge) -> Event | None:
        """A foreign event is carried on only while the saga is undecided; a nudge sends what the state owes.

        Raises:
            OutOfTurn: There is no such subject.
        """
        if (progress := self.service.progress) is None:
            return None
        state = self.working.get(item.subject, None)
        owed = progress.owed(state)
        if isinstance(item, Nudge):
            if owed is not None:
                self._emit(owed, item.traceparent, again=True)
        elif progress.absent(state):
            raise OutOfTurn(f"{item.subject} is unknown here")
        elif owed is not None and progress.undecided(owed):
            self._emit(item.event, item.traceparent)
        return owed

    def _is_finished(self, item: Execute) -> bool:
        progress = self.service.progress
        return progress is not None and progress.finished(self.working.get(item.subject, item.command))

    def _decide(self, item: Execute) -> tuple[Event, str]:
        command = item.command
        state = self.working.get(command.subject, command)
        event = self.service.commands[type(command)].decide(command, state)
        self.working.put(command.subject, self.service.evolve(state, event))
        self.changes.journal.append(JournalRow(event, message_id(command), item.traceparent))
        identity = message_id(event)
        self.recorded[identity] = event
        return event, identity

    def _emit(self, event: Event, traceparent: str | None, identity: str = "", *, again: bool = False) -> None:
        if isinstance(event, self.service.private):
            return
        for channel, message in self.mode.outgoing(event, again=again):
            cause = identity or message_id(event)
            own = cause if message is event else message_id(message)
            body = envelope.encode(
                envelope.Envelope(message, self.service.name, cause, self.now, traceparent), self.service.wire
            )
            self.changes.outbox[own] = OutboxRow(
                own, channel, message.subject, type(message).__name__, body, self.token
            )

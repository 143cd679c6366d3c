"""The one door, seen from inside: what a batch of commands does to locked states. Synchronous and pure.

The dispatcher wraps it in a transaction; the simulation calls it with states of its own. Of a batch, commands
about one subject are applied one after another, in the order of their arrival.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from sagakit import envelope
from sagakit.message import Command, Event, id_of, message_id
from sagakit.ports import CALLS, Changes, Claim, Entry, LedgerEntry, Mode, OutboxRow
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.service import OutOfTurn, Service, WorkingSet
from sagakit.work import Continue, Execute, HandlerFailed, Item, Nudge


def claims(items: Sequence[Item]) -> list[Claim]:
    """The inbox rows of a batch, sorted by id, one for each command."""
    found: dict[str, Claim] = {}
    for item in items:
        if isinstance(item, Execute):
            found.setdefault(message_id(item.command), Claim(message_id(item.command), item.subject, item.cause))
    return [found[key] for key in sorted(found)]


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
    decide_now: Callable[[ProviderCall], ProviderOutcome | None],
) -> tuple[list[Event | None], Changes]:
    """Apply `items` to `working`; the answer to each, and what is to be written.

    `fresh`: the command ids claimed just now; any other is a repeat, which has no effect but is answered again from
    `recorded`. `decide_now` is asked before a call goes to the outbox: an instant provider answers at once.
    An answer may be a private event (a call is under way), or None (a repeat while it is). Raises HandlerFailed.
    """
    changes = Changes()
    unclaimed = set(fresh)
    known = dict(recorded)
    answers: list[Event | None] = []
    for item in items:
        try:
            if not isinstance(item, Execute):
                answers.append(_send_on(service, mode, item, working, changes))
                continue
            answer: Event | None
            identity = message_id(item.command)
            if identity in unclaimed:
                unclaimed.discard(identity)
                answer = _do(service, mode, item, working, changes, known, decide_now)
            else:
                answer = next((known[key] for key in candidates(service, item.command) if key in known), None)
                if answer is not None and not service.finished(working.get(item.subject, item.command)):
                    _emit(service, mode, answer, item.traceparent, changes, again=True)
            answers.append(answer)
        except Exception as error:
            raise HandlerFailed(item, error) from error
    return answers, changes


def _do(
    service: Service,
    mode: Mode,
    item: Execute,
    working: WorkingSet,
    changes: Changes,
    known: dict[str, Event],
    decide_now: Callable[[ProviderCall], ProviderOutcome | None],
) -> Event:
    command = item.command
    event = _apply(service, item, working, changes, known)
    call = service.call(event)
    if call is None:
        _emit(service, mode, event, item.traceparent, changes)
        return event
    outcome = decide_now(call)
    if outcome is None:
        body = msgspec.json.encode(call)
        changes.outbox[call.key] = OutboxRow(call.key, CALLS, command.subject, call.operation, body)
        return event
    changes.ledger.append(LedgerEntry(call, outcome))
    answer = Execute(service.outcome(call, outcome), message_id(event), item.traceparent)
    return _do(service, mode, answer, working, changes, known, decide_now)


def _apply(service: Service, item: Execute, working: WorkingSet, changes: Changes, known: dict[str, Event]) -> Event:
    command = item.command
    state = working.get(command.subject, command)
    event = service.commands[type(command)].decide(command, state)
    working.put(command.subject, service.evolve(state, event))
    changes.journal.append(Entry(event, message_id(command), item.traceparent))
    known[message_id(event)] = event
    return event


def _send_on(
    service: Service, mode: Mode, item: Continue | Nudge, working: WorkingSet, changes: Changes
) -> Event | None:
    """A hold's answer is carried on only while the order is undecided; a nudge sends what the state owes."""
    state = working.get(item.subject, None)
    owed = service.owed(state)
    if isinstance(item, Nudge):
        if owed is not None:
            _emit(service, mode, owed, item.traceparent, changes, again=True)
    elif service.absent(state):
        raise OutOfTurn(f"{item.subject} is unknown here")
    elif owed is not None and service.undecided(owed):
        _emit(service, mode, item.event, item.traceparent, changes)
    return owed


def _emit(
    service: Service, mode: Mode, event: Event, traceparent: str | None, changes: Changes, again: bool = False
) -> None:
    if isinstance(event, service.private):
        return
    for channel, message in mode.outgoing(event, again=again):
        parcel = envelope.Envelope(message, service.name, message_id(event), traceparent=traceparent)
        changes.outbox[parcel.id] = OutboxRow(
            parcel.id, channel, message.subject, type(message).__name__, envelope.encode(parcel, service.wire)
        )

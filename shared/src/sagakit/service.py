"""What a service is, without any I/O: its commands, its reactions, its calls to a provider, its saga's progress."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sagakit.message import Command, Event, Vocabulary
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.wording import Stated


class OutOfTurn(Stated, ValueError):
    """A message that the state of its subject does not expect: a bug, or there is no such subject."""


@dataclass(frozen=True, slots=True)
class Handler:
    """`decide(command, state) -> event`, which is pure, and the events that can conclude the command.

    When the command is repeated, the first of `answers` that is in the journal is the answer.
    """

    decide: Callable[[Any, Any], Event]
    answers: tuple[type[Event], ...]


class WorkingSet(Protocol):
    """The locked rows of one transaction, as states."""

    def get(self, subject: str, command: Command | None) -> Any:
        """The state that `command` is decided against; None: a nudge of `subject`."""

    def put(self, subject: str, state: Any) -> None:
        """Replace the state, after an event."""


@dataclass(frozen=True, slots=True)
class ProviderPort:
    """What a service asks of its provider, as pure functions between its events, the calls and its commands.

    Attributes:
        call: The call that a private event asks for; None if it asks for none.
        outcome: The internal command that brings the provider's definitive answer to a call. It raises
            ProviderRejected for an answer that only a human can deal with.
        endings: The outcomes that an operator may give to a call without an answer, each with its command.
    """

    call: Callable[[Event], ProviderCall | None]
    outcome: Callable[[ProviderCall, ProviderOutcome], Command]
    endings: Callable[[ProviderCall], Mapping[str, Command]]


@dataclass(frozen=True, slots=True)
class SagaProgress:
    """How far the saga of a subject is, read from its state: for the service that owns the saga.

    Attributes:
        owed: The event that an unfinished state still owes to the other services; None if it owes nothing.
        undecided: Whether the owed event leaves the pivot open, so that an orchestrated hold may go on.
        finished: Whether nobody waits for an answer about the subject any longer.
        absent: Whether there is no such subject, so that a message that presumes it cannot be handled.
    """

    owed: Callable[[Any], Event | None]
    undecided: Callable[[Event], bool]
    finished: Callable[[Any], bool]
    absent: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Retention:
    """What is left of a subject when its inbox and journal are deleted: its row, which says that it is pruned.

    Attributes:
        ended: Whether nothing that may still come changes the state.
        pruned: Whether the state is such a final row.
        final: The final row that is left of a state that has ended.
        outcome: The event with which every command about a pruned subject is answered, from its final row.
    """

    ended: Callable[[Any], bool]
    pruned: Callable[[Any], bool]
    final: Callable[[Any], Any]
    outcome: Callable[[Any, Command | None], Event]


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that the machinery needs to run a service, as values and pure functions.

    Attributes:
        name: The name in channels, logs and metrics.
        commands: The table of handlers.
        evolve: The state after an event.
        vocabulary: What the journal holds: the service's own events, public and private.
        wire: The messages that travel between services.
        private: Events that are recorded but never published.
        reactions: The command that a foreign event leads to; all that choreography knows.
        provider: For a service that calls a provider.
        progress: For the service that owns the saga.
        retention: What is left of a subject for ever; None: nothing is ever deleted.
        phases: The phase of the saga to which each message belongs, by name (`sagakit.saga.phases_of`).
        sealed: The names of fields in messages that nobody may see, wherever they stand.
    """

    name: str
    commands: Mapping[type[Command], Handler]
    evolve: Callable[[Any, Event], Any]
    vocabulary: Vocabulary
    wire: Vocabulary
    private: tuple[type[Event], ...] = ()
    reactions: Mapping[type[Event], Callable[[Any], Command]] = field(default_factory=dict)
    provider: ProviderPort | None = None
    progress: SagaProgress | None = None
    retention: Retention | None = None
    phases: Mapping[str, str] = field(default_factory=dict)
    sealed: frozenset[str] = frozenset()

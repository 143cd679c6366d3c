"""What a service *is*, without any I/O: its command table, its reactions, its calls to the outside world."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sagakit.message import Command, Event, Vocabulary
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.wording import Stated


class OutOfTurn(Stated, ValueError):
    """A message that its subject's state does not expect: a bug, or there is no such subject. Names ids and states."""


@dataclass(frozen=True, slots=True)
class Handler:
    """`decide(command, state) -> event`, pure; and the events that can conclude the command.

    `answers` is looked up, in this order, when the command is repeated: the first one on record is the answer.
    """

    decide: Callable[[Any, Any], Event]
    answers: tuple[type[Event], ...]


class WorkingSet(Protocol):
    """The locked rows of one transaction, as states."""

    def get(self, subject: str, command: Command | None) -> Any:
        """The state that `command` (None: a reminder about `subject`) is decided against."""

    def put(self, subject: str, state: Any) -> None:
        """The state after an event."""


def no_call(event: Event) -> ProviderCall | None:
    return None


def no_outcome(call: ProviderCall, outcome: ProviderOutcome) -> Command:
    raise OutOfTurn(f"{call.key}: this service calls nobody")


def no_endings(call: ProviderCall) -> Mapping[str, Command]:
    return {}


def nothing_owed(state: Any) -> Event | None:
    return None


def undecided(event: Event) -> bool:
    return False


def unfinished(state: Any) -> bool:
    return False


def present(state: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that the machinery needs to run a service, as values and pure functions.

    `vocabulary` reads the service's journal (public and private events), `wire` what travels between services;
    `private` events are journaled, never published. `reactions` is all that choreography knows here. `call` turns
    a private event into the provider call it asks for, and `outcome` the answer into an internal command; `endings` are
    the outcomes that an operator may give to a call without answer, each with its command. `owed` names the event that
    an unfinished state still owes to the others, and `undecided` tells from it whether an orchestrated hold may go on;
    to a `finished` state nobody waits for an answer any more. Where the state is `absent` there is nothing of that
    subject, and a message that takes it for granted cannot be handled.
    """

    name: str
    commands: Mapping[type[Command], Handler]
    evolve: Callable[[Any, Event], Any]
    vocabulary: Vocabulary
    wire: Vocabulary
    private: tuple[type[Event], ...] = ()
    reactions: Mapping[type[Event], Callable[[Any], Command]] = field(default_factory=dict)
    call: Callable[[Event], ProviderCall | None] = no_call
    outcome: Callable[[ProviderCall, ProviderOutcome], Command] = no_outcome
    endings: Callable[[ProviderCall], Mapping[str, Command]] = no_endings
    owed: Callable[[Any], Event | None] = nothing_owed
    undecided: Callable[[Event], bool] = undecided
    finished: Callable[[Any], bool] = unfinished
    absent: Callable[[Any], bool] = present

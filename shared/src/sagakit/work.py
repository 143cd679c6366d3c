"""Items of work for the dispatcher: what a service can be asked to do, whatever carried the request."""

import msgspec

from sagakit.message import Command, Event, message_id
from sagakit.wording import Stated, stated


class Execute(msgspec.Struct, frozen=True):
    """Execute a command. `cause`: the id of the message that led to it; `traceparent`: W3C trace context."""

    command: Command
    cause: str | None = None
    traceparent: str | None = None

    @property
    def subject(self) -> str:
        """The id of what the command is about."""
        return self.command.subject


class Continue(msgspec.Struct, frozen=True):
    """Continue a saga that is still undecided: a foreign event that leads to another participant's command."""

    event: Event
    traceparent: str | None = None

    @property
    def subject(self) -> str:
        """The id of what the event is about."""
        return self.event.subject


class Nudge(msgspec.Struct, frozen=True):
    """Send again the event that the state of `subject` still owes to other services."""

    subject: str
    traceparent: str | None = None


Item = Execute | Continue | Nudge


class HandlerFailed(Stated):
    """A handler raised, which is a bug. `item` is the culprit; nothing of its batch was kept."""

    def __init__(self, item: Item, error: Exception) -> None:
        super().__init__(f"{describe(item)}: {stated(error, placed=True)}")
        self.item = item


def describe(item: Item) -> str:
    """The id of the item's message; of a nudge, `<subject>/nudge`."""
    match item:
        case Execute(command):
            return message_id(command)
        case Continue(event):
            return message_id(event)
        case Nudge(subject):
            return f"{subject}/nudge"

"""Answers that every service gives: the timeline of an order, `/attention`, and faults."""

from typing import Final, Literal, NotRequired

from typing_extensions import TypedDict

from sagakit.faults import Failpoint
from sagakit.modes.unreliable import MessageFault
from sagakit.web.documents import Code, Instant


class TimelineItem(TypedDict):
    """A command that the service has claimed, or an event that it has recorded; `cause` is the message before it."""

    message: str
    kind: Literal["command", "event"]
    cause: str | None
    at: Instant


class Timeline(TypedDict):
    """One service's journal of an order, oldest first."""

    order_id: str
    service: str
    items: list[TimelineItem]


class AttentionItem(TypedDict):
    """Something that needs a human; the last three fields are there once it has been dismissed."""

    id: str
    kind: str
    since: Instant
    detail: str
    reason: NotRequired[str]
    dismissed_by: NotRequired[str]
    dismissed_at: NotRequired[Instant]


class AttentionPage(TypedDict):
    """A page of what needs a human."""

    items: list[AttentionItem]
    next_cursor: str | None


class Retried(TypedDict):
    """What came of a retry; `detail` says why it failed again."""

    id: str
    retried: bool
    outcome: str
    detail: NotRequired[str]


class Dismissed(AttentionItem):
    """What was dismissed, and why."""

    dismissed: Literal[True]


class Resolved(AttentionItem):
    """The call that was ended, with which outcome, and why."""

    resolved: Literal[True]
    outcome: str


class Faults(TypedDict):
    """The faults that are set in this process, and how often each kind has fired."""

    set: list[Failpoint]
    messages: MessageFault | None
    fired: dict[str, int]
    points: list[str]
    pid: int


NOT_RESOLVABLE: Final = Code("not_resolvable", 409, "Only the provider can end this kind of call.")
ANSWERED: Final = Code("answered", 409, "The provider has answered the call in the meantime.")
ORDER_EXAMPLE: Final = {"order_id": "0f0f4a5c-0510-5a4f-8752-14a9d0032637"}
"""The order that alice places by the example of `POST /orders`."""

"""Answers that every service gives: the timeline of an order, `/activity`, `/attention`, and faults."""

from typing import Any, Final, Literal, NotRequired

from typing_extensions import TypedDict

from sagakit.activity import Kind
from sagakit.faults import Failpoint
from sagakit.modes.unreliable import MessageFault
from sagakit.saga import Phase
from sagakit.web.documents import Code, Instant


class TimelineItem(TypedDict):
    """A command that the service has claimed, or an event that it has recorded; `cause` is the message before it.

    `payload` is what an event holds, without what is sealed. `pivot` says of a command that competed for the decision
    whether it won. `trace_id` is null where it is not known.
    """

    message: str
    kind: Literal["command", "event"]
    cause: str | None
    at: Instant
    payload: dict[str, Any] | None
    phase: Phase | None
    pivot: Literal["won", "lost"] | None
    trace_id: str | None


class TimelineCall(TypedDict):
    """A call to a provider; `answer` is the event that recorded the provider's answer, null while there is none.

    `attempts`: how many there were, as far as that is remembered; `observed` has each of them.
    """

    key: str
    provider: str
    operation: str
    asked_by: str
    asked_at: Instant
    answer: str | None
    answered_at: Instant | None
    attempts: int | None


class Observation(TypedDict):
    """Something that happened in the process that answers.

    A `command` was handled, a foreign event `continued` a saga; a `duplicate` had no effect, `outcome` is the event
    that answered it again; a `nudge` sent again what an order owed; a `call` to a provider was attempt number
    `attempt`, whose `outcome` is the provider's, or `unknown`, or `rejected`; something `failed`, or was
    `unpublished`, and is tried again; a message became a `dead-letter`. `detail` is the words for an error.
    `skipped` tells by its `count` how many observations did not fit into the stream.
    """

    kind: Kind
    at: Instant
    order_id: str | None
    message: str
    cause: str | None
    outcome: str | None
    detail: str | None
    attempt: int | None
    seconds: float | None
    pivot: Literal["lost"] | None
    trace_id: str | None
    count: int | None


class Timeline(TypedDict):
    """One service's journal of an order, oldest first; its calls; and what the process observed besides.

    `observed` is in the memory of the process alone, which is bounded and ends with it: it is complete from
    `observed_since` on, and other replicas have observations of their own. `pruned`: the order ended longer ago than
    RETENTION, so its journal is deleted, and no more than its last state is known.
    """

    order_id: str
    service: str
    pruned: bool
    items: list[TimelineItem]
    calls: list[TimelineCall]
    observed: list[Observation]
    observed_since: Instant
    trace_ids: list[str]


_TAG: Final = {"ETag": {"description": "Differs whenever the timeline does", "schema": {"type": "string"}}}
TIMELINE: Final[dict[str, Any]] = {
    "description": "One service's journal of an order",
    "model": Timeline,
    "headers": _TAG,
}
FOLLOWED: Final[dict[str, Any]] = {
    "description": (
        "Server-sent events called `timeline`. Each has the whole timeline, or `null`, as its `data`, and its ETag as "
        "its `id`. A comment comes every 15 seconds. The stream ends after a minute, when the process stops, and when "
        "the database does not answer."
    ),
    "model": Timeline,
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": (
                'id: "0-0-0"\nevent: timeline\ndata: {"order_id":"0f0f4a5c-0510-5a4f-8752-14a9d0032637",'
                '"service":"payment","pruned":true,"items":[],"calls":[],"observed":[],'
                '"observed_since":"2026-01-02T03:04:05.678901Z","trace_ids":[]}\n\n'
            ),
        }
    },
}
ACTIVITY: Final[dict[str, Any]] = {
    "description": (
        "Server-sent events, from now on. Each has the kind of an observation as its `event`, and the observation as "
        "`data`. A comment comes every 15 seconds. The stream ends when the process stops."
    ),
    "model": Observation,
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": (
                'event: nudge\ndata: {"kind":"nudge","at":"2026-01-02T03:04:05.678901Z",'
                '"order_id":"0f0f4a5c-0510-5a4f-8752-14a9d0032637","message":"","cause":null,"outcome":"OrderPlaced",'
                '"detail":null,"attempt":null,"seconds":null,"pivot":null,"trace_id":null,"count":null}\n\n'
            ),
        }
    },
}


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

"""One order's saga as a sequence diagram: the services' journals in; lanes, steps, arrows and owed steps out. Pure.

Guarantee: each journal entry is one step, and nothing else is. Each arrow ends at a step and has that step's cause: the
journals show that the message was sent and that it arrived. The only arrow that no journal holds is that of an answer
which an orchestrator has turned into the next participant's command; its command proves it.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from console_service.acts import Act
from console_service.marks import marks_of
from console_service.owed import Owed, Waiting, owed_steps, waiting_for
from console_service.protocol import CALLS, ENDS, OPERATIONS, PUBLIC_OWNER, ModeView, role_of

CLIENT: Final = "client"
TRANSPORT: Final = "transport"
PROVIDER: Final = "provider"
SERVICES: Final = ("order", "inventory", "payment", "shipping")
COMMAND: Final = "command"
EVENT: Final = "event"


@dataclass(frozen=True, slots=True)
class Step:
    """A journal entry: a command that `lane` claimed, or an event that it recorded, with all that the timeline says.

    `cause` is the message, or the provider's operation, that led to it; `position` counts from 0 in the order shown,
    in which no step comes before its cause, whatever the services' clocks say. `marks` are what the service observed
    besides, such as `2 duplicates`.
    """

    message: str
    kind: str
    lane: str
    role: str
    at: datetime
    cause: str | None
    position: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message between two lanes, shown because of the step `cause`.

    `kind` is request, event, command, call or answer. `sent` and `received` are the steps at its ends, None where no
    journal has one; `carried` says whether the mode's transport carried it.
    """

    message: str
    kind: str
    role: str
    source: str
    target: str
    sent: Step | None
    received: Step | None
    cause: str | None
    carried: bool


@dataclass(frozen=True, slots=True)
class Diagram:
    """The whole saga of one order, as far as it has come, and what was broken meanwhile.

    `unknown` are the services that could not be asked, `pruned` those that have deleted what they recorded.
    """

    order_id: str
    mode: ModeView
    steps: tuple[Step, ...]
    arrows: tuple[Arrow, ...]
    owed: tuple[Owed, ...]
    waiting: Waiting | None
    unknown: tuple[str, ...]
    pruned: tuple[str, ...] = ()
    acts: tuple[Act, ...] = ()

    @property
    def started_at(self) -> datetime | None:
        """When the first step happened."""
        return min((step.at for step in self.steps), default=None)

    @property
    def seconds(self) -> float:
        """From the first step to the last."""
        times = [step.at for step in self.steps]
        return (max(times) - min(times)).total_seconds() if times else 0.0

    @property
    def ended_at(self) -> datetime | None:
        """When the last step happened, if nothing is owed any more."""
        return max((step.at for step in self.steps), default=None) if self.ended else None

    @property
    def ended(self) -> bool:
        """Whether nothing is owed any more."""
        return bool(self.pruned) or (bool(self.steps) and not self.owed)


def build(
    order_id: str, mode: ModeView, timelines: Mapping[str, Mapping[str, Any] | None], *, whole: bool = True
) -> Diagram:
    """Draw up the diagram of an order; a service whose timeline is None could not be asked.

    Not `whole` are the timelines of a customer, who sees nothing of a participant that held nothing for the order:
    once the order has ended, such a participant owes nothing.
    """
    bodies = {service: timelines.get(service) or {} for service in SERVICES}
    marks = marks_of(bodies.values())
    entries = [
        _step(order_id, service, item, marks)
        for service, body in bodies.items()
        for item in body.get("items", ())
        if _fits(item)
    ]
    steps = _in_order(entries)
    by_name = {step.message: step for step in steps}
    arrows = tuple(arrow for step in steps for arrow in _arrows(step, by_name, mode))
    owed = owed_steps({step.message: step.kind for step in steps}, mode)
    times = {step.message: step.at for step in steps}
    if not whole and not times.keys().isdisjoint(ENDS.values()):
        owed = tuple(one for one in owed if bodies[one.lane].get("items"))
    unknown = tuple(service for service in SERVICES if timelines.get(service) is None)
    pruned = tuple(service for service, body in bodies.items() if body.get("pruned"))
    if pruned:  # the saga has ended there, and what is missing is deleted
        owed = ()
    return Diagram(order_id, mode, steps, arrows, owed, waiting_for(owed, times), unknown, pruned)


def _fits(item: Mapping[str, Any]) -> bool:
    return item.get("kind") in (COMMAND, EVENT)


def _step(order_id: str, service: str, item: Mapping[str, Any], marks: Mapping[str, tuple[str, ...]]) -> Step:
    cause = item.get("cause")
    short = str(cause).removeprefix(f"{order_id}/") if cause else None
    message = str(item["message"])
    at = datetime.fromisoformat(str(item["at"]))
    lost = ("lost the decision",) if item.get("pivot") == "lost" else ()
    told = (*lost, *marks.get(message, ()))
    return Step(message, item["kind"], service, role_of(message), at, short, detail=item, marks=told)


def _in_order(entries: Iterable[Step]) -> tuple[Step, ...]:
    """By time, but none before its cause."""
    by_name = {step.message: step for step in entries}
    requests = {CALLS[name]: name for name in by_name if name in CALLS}
    waiting: dict[str, list[str]] = {}
    ready: list[tuple[datetime, bool, str]] = []
    for step in by_name.values():
        before = requests.get(step.cause or "", step.cause)
        if before in by_name and before != step.message:
            waiting.setdefault(str(before), []).append(step.message)
        else:
            ready.append((step.at, step.kind == EVENT, step.message))
    heapq.heapify(ready)
    ordered: list[Step] = []
    while ready:
        _, _, name = heapq.heappop(ready)
        step = by_name[name]
        ordered.append(replace(step, position=len(ordered)))
        for following in waiting.pop(name, ()):
            after = by_name[following]
            heapq.heappush(ready, (after.at, after.kind == EVENT, following))
    return tuple(ordered)


def _arrows(step: Step, by_name: Mapping[str, Step], mode: ModeView) -> list[Arrow]:
    """The arrows that a step shows: how its cause came to it, and the call that it makes."""
    if step.kind == EVENT:
        if step.message not in CALLS:
            return []
        return [Arrow(CALLS[step.message], "call", step.role, step.lane, PROVIDER, step, None, step.message, False)]
    if step.cause is None:
        source = CLIENT if step.message in PUBLIC_OWNER else step.lane
        return [Arrow(step.message, "request", step.role, source, step.lane, None, step, None, False)]
    if step.cause in OPERATIONS:
        return [Arrow(step.cause, "answer", step.role, PROVIDER, step.lane, None, step, step.cause, False)]
    return _carried(step, by_name.get(step.cause), mode)


def _carried(step: Step, cause: Step | None, mode: ModeView) -> list[Arrow]:
    """The arrows of the event that led to a command: one in choreography; under an orchestrator, its way over order."""
    event = str(step.cause)
    source = cause.lane if cause else PUBLIC_OWNER.get(event, CLIENT)
    if source == step.lane:
        return []
    role = cause.role if cause else step.role
    if mode.choreography or step.lane == "order":
        return [Arrow(event, EVENT, role, source, step.lane, cause, step, event, True)]
    if source == "order":
        return [Arrow(step.message, COMMAND, step.role, "order", step.lane, cause, step, event, True)]
    return [
        Arrow(event, EVENT, role, source, "order", cause, None, event, True),
        Arrow(step.message, COMMAND, step.role, "order", step.lane, None, step, event, True),
    ]

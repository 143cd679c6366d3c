"""What the timelines and the Temporal histories of single orders show, as sights that two runs can be compared by."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from tests.chaos.debugging.model import Sight, Source

UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NUMBER: Final = re.compile(r"\d+")
FAILURES: Final[Mapping[int, str]] = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED: "a workflow task failed",
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: "a workflow task timed out",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "the workflow failed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "the workflow was terminated",
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "an activity failed",
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "an activity timed out",
}


def plain(text: str) -> str:
    """The text without ids and numbers, which differ from run to run."""
    return NUMBER.sub("#", UUID.sub("<id>", text))


def order_in(text: str) -> str:
    """The first order that a text names; empty: none."""
    found = UUID.search(text)
    return found.group() if found else ""


def timeline(service: str, kind: str, shown: Mapping[str, Any], began: float, total: int | None) -> list[Sight]:
    """What one service's timeline of an order shows: what led to what, how often, over which amount, and the end.

    Only orders of one kind are alike. `total` is the amount that the customer was told.
    """
    items, order = shown["items"], shown["order_id"]
    times = [_seconds(item["at"]) - began for item in items]
    sights = []
    steps: Counter[tuple[str, str]] = Counter()
    for item, at in zip(items, times, strict=True):
        cause, message = _name(item["cause"] or "a request"), item["message"]
        steps[cause, message] += 1
        often = f", time {steps[cause, message]}" if steps[cause, message] > 1 else ""
        told = [f"{cause} led to {message}{often}"]
        if total is not None and (item["payload"] or {}).get("amount", total) != total:
            told.append(f"{message} is over another amount than the order")
        sights += [Sight(at, Source.TIMELINE, f"{kind}: {what}", service, message, order) for what in told]
    if items:
        last = items[-1]["message"]
        sights.append(Sight(times[-1], Source.TIMELINE, f"{kind}: {last} comes last", service, last, order))
    return sights


def total_of(shown: Mapping[str, Any]) -> int | None:
    """The amount that the customer was told, from the order service's timeline."""
    for item in shown["items"]:
        if item["message"] == "OrderPlaced":
            return int(item["payload"]["checkout"]["total"]["amount"])
    return None


def history(owner: str, kind: str, order: str, events: Sequence[HistoryEvent], began: float) -> Iterable[Sight]:
    """What a workflow's history shows: failures, repeated attempts, and what each activity answered."""
    scheduled: dict[int, tuple[str, str]] = {}
    for event in events:
        at = event.event_time.ToDatetime(UTC).timestamp() - began
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            asked = event.activity_task_scheduled_event_attributes
            service = asked.task_queue.name.removeprefix("quartet-")
            scheduled[event.event_id] = service, asked.activity_type.name
            continue
        service, step, what = owner, "", FAILURES.get(event.event_type, "")
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started = event.activity_task_started_event_attributes
            service, step = scheduled[started.scheduled_event_id]
            what = f"{step} was tried again" if started.attempt > 1 else ""
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            done = event.activity_task_completed_event_attributes
            service, step = scheduled[done.scheduled_event_id]
            what = f"{step} was answered by {_answer(done.result.payloads)}"
        if what:
            yield Sight(at, Source.HISTORY, f"{kind}: {what}", service, step, order)


def _answer(payloads: Sequence[Any]) -> str:
    found = json.loads(payloads[0].data) if payloads and payloads[0].data else None
    return str(found["type"]) if isinstance(found, dict) and "type" in found else "nothing"


def _name(message_id: str) -> str:
    return message_id.rpartition("/")[2]


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()

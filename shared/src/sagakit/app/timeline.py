"""What a service has done about one order: its inbox and journal, its calls to a provider, what the process observed.

Guarantee: it shows what is recorded, and what `sagakit.activity` remembers, and concludes nothing else; sealed fields
are masked, whether their texts are sealed or in clear.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.activity import Activity, Observation
from sagakit.app import documents
from sagakit.engine.engine import ServiceEngine
from sagakit.message import id_of
from sagakit.ports import RowsLocked, StoreUnavailable
from sagakit.postgres.connection import connected
from sagakit.postgres.entities import EntityRows
from sagakit.provider import ProviderOutcome
from sagakit.sealing import masked
from sagakit.service import Service
from sagakit.web.app import EventGroup, ServerSentEvent, iso

log = logging.getLogger(__name__)

_RECORDED: Final = (
    "SELECT id, 'command' AS kind, cause, claimed_at AS at, NULL AS name, NULL AS data, NULL AS traceparent, "
    "0 AS attempts FROM inbox WHERE id >= :low AND id < :high UNION ALL "
    "SELECT id, 'event', command, recorded_at, name, data, traceparent, 0 "
    "FROM journal WHERE id >= :low AND id < :high"
)
_OPEN_CALLS: Final = (
    " UNION ALL SELECT id, 'call', NULL, NULL, NULL, NULL, NULL, attempts "
    "FROM outbox WHERE id >= :low AND id < :high AND is_call"
)
NOTHING: Final = '"0"'
"""The tag of a timeline that does not exist yet."""
POLL: Final = 5.0
"""Seconds between two looks for what no commit of this process tells, such as another attempt at a call."""
POLL_OF_REPLICAS: Final = 0.25
"""The same where other processes commit too."""
PACE: Final = 0.1
"""Seconds from one event to a follower to the next look."""
LONGEST: Final = 60.0
"""Seconds after which a follower has to come again, and its token is checked again."""


class Timelines:
    """Reads timelines from the service's own database, each with one query."""

    def __init__(self, database: AsyncEngine, engine: ServiceEngine, entities: EntityRows, replicas: int = 1) -> None:
        self._single = database.execution_options(isolation_level="AUTOCOMMIT")
        self._watcher, self._poll = engine.watcher, POLL if replicas == 1 else POLL_OF_REPLICAS
        self._service, self._activity = engine.service, engine.activity
        calls = _OPEN_CALLS if engine.service.provider is not None else ""
        self._recorded = text(f"{_RECORDED}{calls} ORDER BY at")
        final = f"SELECT count(*) FROM {entities.table} WHERE {entities.key} = :id AND pruned"
        self._final = text(final)

    async def of(self, order_id: str) -> documents.Timeline | None:
        """The timeline of an order; None if nothing is known about it."""
        around = {"low": f"{order_id}/", "high": f"{order_id}0"}
        async with connected(self._single) as connection:
            found = (await connection.execute(self._recorded, around)).all()
            pruned = bool(await connection.scalar(self._final, {"id": order_id})) if not found else False
        if not (found or pruned):
            return None
        rows = [row for row in found if row.kind != "call"]
        attempts = {row.id: row.attempts for row in found if row.kind == "call"}
        observed = self._activity.of(order_id)
        for seen in observed:
            if seen.kind == "call":
                key = f"{order_id}/{seen.message}"
                attempts[key] = max(attempts.get(key, 0), seen.attempt or 0)
        calls = list(_calls(self._service, rows, attempts))
        asked_by = {call["key"]: call["asked_by"] for call in calls}
        items = _items(self._service, rows, asked_by)
        traces = dict.fromkeys(item["trace_id"] for item in items if item["trace_id"])
        return {
            "order_id": order_id,
            "service": self._service.name,
            "pruned": pruned,
            "items": items,
            "calls": calls,
            "observed": [_with_cause(shown(seen), asked_by) for seen in observed],
            "observed_since": iso(datetime.fromtimestamp(self._activity.since, UTC)),
            "trace_ids": list(traces),
        }

    async def follow(
        self, order_id: str, known: str, look: Callable[[], Awaitable[documents.Timeline | None]]
    ) -> AsyncGenerator[ServerSentEvent, None]:
        """Yield what `look` finds when its tag is another than before, first than `known`; for LONGEST seconds.

        What happens within PACE seconds is found by one look. The events end early if the database does not answer.
        """
        clock = asyncio.get_running_loop().time
        until, changed = clock() + LONGEST, self._watcher.subscribe(order_id)
        try:
            while (left := until - clock()) > 0:
                changed.clear()
                found = await look()
                if (tag := tag_of(found)) != known:
                    known = tag
                    yield ServerSentEvent(found, event="timeline", id=tag)
                    await asyncio.sleep(PACE)
                await self._watcher.wait_changed(changed, min(self._poll, left))
        except (StoreUnavailable, RowsLocked) as error:
            log.warning("a timeline is not followed any more: %s", error)
        finally:
            self._watcher.unsubscribe(order_id, changed)


def tag_of(timeline: documents.Timeline | None) -> str:
    """An entity tag, which differs whenever more is recorded or observed."""
    if timeline is None:
        return NOTHING
    attempts = sum(call["attempts"] or 0 for call in timeline["calls"])
    return f'"{len(timeline["items"])}-{len(timeline["observed"])}-{attempts}"'


def shown(seen: Observation) -> documents.Observation:
    """The observation as interfaces show it."""
    return {
        "kind": seen.kind,
        "at": iso(datetime.fromtimestamp(seen.at, UTC)),
        "order_id": seen.subject,
        "message": seen.message,
        "cause": seen.cause,
        "outcome": seen.outcome,
        "detail": seen.detail,
        "attempt": seen.attempt,
        "seconds": seen.seconds,
        "pivot": "lost" if seen.lost else None,
        "trace_id": trace_id(seen.traceparent),
        "count": seen.count,
    }


def _with_cause(seen: documents.Observation, asked_by: Mapping[str, str]) -> documents.Observation:
    """The observation; an attempt at a call with the id of the event that asked for the call."""
    return {**seen, "cause": asked_by.get(f"{seen['order_id']}/{seen['message']}")} if seen["kind"] == "call" else seen


async def events(activity: Activity) -> AsyncIterator[EventGroup]:
    """What happens from now on, as server-sent events."""
    async with aclosing(activity.follow()) as groups:
        async for group in groups:
            yield EventGroup([ServerSentEvent(shown(seen), event=seen.kind) for seen in group])


def trace_id(traceparent: str | None) -> str | None:
    """The trace id in a W3C traceparent."""
    return traceparent[3:35] if traceparent else None


def _items(service: Service, rows: Sequence[Any], asked_by: Mapping[str, str]) -> list[documents.TimelineItem]:
    """The recorded messages; `asked_by`: the id of the event that asked for each call."""
    led_to = {row.cause: row for row in rows if row.kind == "event"}
    causes = {**{row.id: row.cause for row in rows}, **asked_by}

    def phase(message: str | None) -> Any:
        """The phase of the message, or else of what led to it, or of what it led to."""
        following, seen = message, set[str]()
        while following is not None and following not in seen:
            if (found := service.phases.get(_name(following))) is not None:
                return found
            seen.add(following)
            following = causes.get(following)
        return service.phases.get(led_to[message].name) if message in led_to else None

    return [
        {
            "message": _name(row.id),
            "kind": row.kind,
            "cause": row.cause,
            "at": iso(row.at),
            "payload": masked(msgspec.json.decode(row.data), service.sealed) if row.data else None,
            "phase": phase(row.id),
            "pivot": _pivot(service, row, led_to),
            "trace_id": trace_id(row.traceparent or (led_to[row.id].traceparent if row.id in led_to else None)),
        }
        for row in rows
    ]


def _pivot(service: Service, row: Any, led_to: Mapping[str | None, Any]) -> Literal["won", "lost"] | None:
    """Of a command that competed for the decision: whether the decision is recorded as its own."""
    if row.kind != "command" or service.phases.get(_name(row.id)) != "decide":
        return None
    return "won" if row.id in led_to else "lost"


def _calls(service: Service, rows: Sequence[Any], attempts: Mapping[str, int]) -> Iterator[documents.TimelineCall]:
    if (port := service.provider) is None:
        return
    led_to = {row.cause: row for row in rows if row.kind == "event"}
    for row in rows:
        call = port.call(service.vocabulary.decode(row.name, row.data)) if row.kind == "event" else None
        if call is None:
            continue
        answering = port.outcome(call, ProviderOutcome("ok"))
        answer = led_to.get(id_of(answering.subject, type(answering)))
        yield {
            "key": call.key,
            "provider": call.provider,
            "operation": call.operation,
            "asked_by": row.id,
            "asked_at": iso(row.at),
            "answer": answer.name if answer else None,
            "answered_at": iso(answer.at) if answer else None,
            "attempts": attempts.get(call.key) or None,
        }


def _name(message_id: str) -> str:
    return message_id.split("/", 1)[1]

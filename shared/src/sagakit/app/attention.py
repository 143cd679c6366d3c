"""What needs a human, as one list over all kinds: shown in pages, counted, retried, dismissed with a reason.

The list is one statement over the service's own database (and this process's failing tasks), so that a page, the count
and the look-up of one item never disagree. An item is dismissed under its `mark`, which changes when the item does:
then it is back on the list.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.engine.engine import Pushed, ServiceEngine
from sagakit.ports import StoreUnavailable
from sagakit.postgres.connection import connected
from sagakit.provider import ProviderCall
from sagakit.settings import Settings
from sagakit.tasks import set_within
from sagakit.work import HandlerFailed

log = logging.getLogger(__name__)

COUNTED_EVERY: Final = 2.0
TASK: Final = "task"
KINDS: Final = ("dead-letter", "provider-call", "unpublished", TASK)

_KNOWN: Final = (
    """SELECT id COLLATE "C" AS id, 'dead-letter' AS kind, at AS since, """
    "CASE WHEN subject IS NULL OR position(subject IN cause) > 0 THEN cause "
    "ELSE subject || ': ' || cause END AS detail, "
    "CAST(extract(epoch FROM at) AS text) AS mark "
    "FROM dead_letter WHERE resolved_at IS NULL "
    "UNION ALL SELECT id, 'provider-call', created_at, attempts || ' attempts without a definitive answer', "
    "CAST(extract(epoch FROM created_at) AS text) "
    "FROM outbox WHERE is_call AND attempts > 0 AND created_at < now() - make_interval(secs => :after) "
    "UNION ALL SELECT id, 'unpublished', created_at, attempts || ' attempts to publish it to ' || channel, "
    "CAST(extract(epoch FROM created_at) AS text) "
    "FROM outbox WHERE NOT is_call AND attempts >= :attempts AND created_at < now() - make_interval(secs => :after) "
    """UNION ALL SELECT u.id COLLATE "C", 'task', u.since, u.error, u.error FROM unnest("""
    "CAST(:tasks AS text[]), CAST(:task_since AS timestamptz[]), CAST(:task_errors AS text[])) AS u(id, since, error)"
)
_DISMISSED: Final = "SELECT id, kind, since, detail, mark, reason, dismissed_by, at FROM attention_dismissed"
# Keys compare as bytes, whatever the database's locale; the newest come first.
_PAGE: Final = (
    "SELECT * FROM ({rows}) AS item WHERE CAST(:at AS timestamptz) IS NULL "
    'OR (item.{time}, item.kind COLLATE "C", item.id COLLATE "C") < (CAST(:at AS timestamptz), :kind, :last) '
    'ORDER BY item.{time} DESC, item.kind COLLATE "C" DESC, item.id COLLATE "C" DESC LIMIT :limit'
)
_DISMISS: Final = (
    "WITH letter AS (UPDATE dead_letter SET resolved_at = now(), resolution = 'dismissed', reason = :reason, "
    "resolved_by = :by WHERE id = :id AND resolved_at IS NULL) "
    "INSERT INTO attention_dismissed (id, mark, kind, since, detail, reason, dismissed_by) "
    "SELECT id, mark, kind, since, detail, :reason, :by FROM ({rows}) AS item WHERE id = :id "
    "ON CONFLICT DO NOTHING RETURNING id"
)
_LAST_DISMISSAL: Final = text(f"{_DISMISSED} WHERE id = :id ORDER BY at DESC LIMIT 1")
_CALL: Final = text("SELECT body FROM outbox WHERE id = :id AND is_call AND attempts > 0")
_ENDED: Final = text(
    "INSERT INTO attention_dismissed (id, mark, kind, since, detail, reason, dismissed_by) "
    "SELECT id, CAST(extract(epoch FROM created_at) AS text), 'provider-call', created_at, "
    "CAST(:detail AS text), :reason, :by FROM outbox WHERE id = :id AND is_call "
    "ON CONFLICT (id, mark) DO UPDATE SET detail = excluded.detail, reason = excluded.reason, "
    "dismissed_by = excluded.dismissed_by, at = excluded.at WHERE attention_dismissed.detail <> excluded.detail"
)
# A definitive answer is claimed under the key of its call. All ids of one subject form one range.
_ANSWERED: Final = text("SELECT EXISTS (SELECT FROM inbox WHERE id > :first AND id < :beyond AND cause = :id)")
_DUE_NOW: Final = text("UPDATE outbox SET leased_until = now() WHERE id = :id RETURNING id")


class NoSuchEnding(Exception):
    """An outcome that only the provider may give to this `operation`; `valid` are those that an operator may give."""

    def __init__(self, operation: str, valid: tuple[str, ...]) -> None:
        super().__init__(operation)
        self.operation, self.valid = operation, valid


class CallAnswered(Exception):
    """The provider has answered the call in the meantime."""


@dataclass(frozen=True, slots=True)
class Concern:
    """A kind of item of one service's own.

    Attributes:
        kind: Its name.
        rows: A SELECT of id, kind, since, detail and mark (which changes when the item does). It may use `:after`, the
            seconds after which something needs attention.
        push: Tries one again.
    """

    kind: str
    rows: str
    push: Callable[[ServiceEngine, str], Awaitable[Pushed]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the key of its last item."""

    at: datetime
    kind: str
    id: str


class Attention:
    """One service's list, and its count as a metric. Ids of tasks are `task/<name>`, and are of this process alone."""

    def __init__(
        self,
        database: AsyncEngine,
        engine: ServiceEngine,
        concerns: Sequence[Concern] = (),
        period: float = COUNTED_EVERY,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`concerns`: the service's own kinds; `period`: seconds between two counts."""
        self._single = database.execution_options(isolation_level="AUTOCOMMIT")
        self._engine, self._concerns, self._period, self._now = engine, concerns, period, now
        self._failing: dict[str, tuple[datetime, str]] = {}
        self._acted = asyncio.Event()
        rows = " UNION ALL ".join((_KNOWN, *(concern.rows for concern in concerns)))
        self._find = text(f"SELECT kind FROM ({rows}) AS item WHERE id = :id")
        rows = (
            f"SELECT * FROM ({rows}) AS known WHERE NOT EXISTS (SELECT 1 FROM attention_dismissed AS away "
            "WHERE away.id = known.id AND away.mark = known.mark)"
        )
        self._page = text(_PAGE.format(rows=rows, time="since"))
        self._page_of_dismissed = text(_PAGE.format(rows=_DISMISSED, time="at"))
        self._counts = text(f"SELECT kind, count(*) AS number FROM ({rows}) AS item GROUP BY kind")
        self._dismiss = text(_DISMISS.format(rows=rows))

    async def page(self, after: Place | None, limit: int, *, dismissed: bool = False) -> Sequence[Row[Any]]:
        """The next `limit` items, newest first: id, kind, since, detail; of dismissed ones also by whom, why, when."""
        values = {
            "at": after and after.at,
            "kind": after and after.kind,
            "last": after and after.id,
            "limit": limit,
        }
        statement = self._page_of_dismissed if dismissed else self._page
        async with connected(self._single) as connection:
            return (await connection.execute(statement, values if dismissed else values | self._values())).all()

    async def counts(self) -> Mapping[str, int]:
        """How many items there are of each kind, zeros included."""
        zeros = dict.fromkeys((*KINDS, *(concern.kind for concern in self._concerns)), 0)
        async with connected(self._single) as connection:
            rows = (await connection.execute(self._counts, self._values())).all()
        return zeros | {row.kind: row.number for row in rows}

    async def push(self, item_id: str, by: str) -> Pushed | None:
        """Try one again now, dismissed or not, and return the result; None if there is nothing of that id."""
        try:
            return await self._push(item_id, by)
        finally:
            self._acted.set()

    async def _push(self, item_id: str, by: str) -> Pushed | None:
        async with connected(self._single) as connection:
            if (await connection.execute(_DUE_NOW, {"id": item_id})).first() is not None:
                return Pushed(True, "due now")
            values = self._values() | {"id": item_id, "after": 0.0}
            kinds = (await connection.scalars(self._find, values)).all()
        if TASK in kinds:
            return Pushed(False, "a task is restarted automatically, and recovers when its cause is gone")
        for concern in self._concerns:
            if concern.kind in kinds:
                return await concern.push(self._engine, item_id)
        return await self._engine.redrive(item_id, by)

    async def dismiss(self, item_id: str, reason: str, by: str) -> Row[Any] | None:
        """Dismiss one; the record of that, or the last one if it was dismissed before; None if there is neither."""
        values = {"id": item_id, "reason": reason, "by": by} | self._values()
        async with connected(self._single) as connection:
            if (await connection.execute(self._dismiss, values)).first() is not None:
                log.warning("attention dismissed", extra={"item": item_id, "by": by, "reason": reason})
            self._acted.set()
            return (await connection.execute(_LAST_DISMISSAL, {"id": item_id})).first()

    async def resolve(self, item_id: str, outcome: str, reason: str, by: str) -> Row[Any] | None:
        """End a call to a provider that gets no answer, as if `outcome` were the answer; the record of that.

        None if there is no such call. Repeating it is harmless. The call itself is still retried: the provider may
        have had its effect, which is then undone there.

        Raises:
            NoSuchEnding: Only the provider may give this outcome.
            CallAnswered: The provider has answered in the meantime.
        """
        detail, subject = f"ended as {outcome}", item_id.rpartition("/")[0]
        async with connected(self._single) as connection:
            body = await connection.scalar(_CALL, {"id": item_id})
            if body is None:
                record = (await connection.execute(_LAST_DISMISSAL, {"id": item_id})).first()
                if record is not None and record.detail == detail:
                    return record
                if await connection.scalar(_ANSWERED, {"id": item_id, "first": f"{subject}/", "beyond": f"{subject}0"}):
                    raise CallAnswered
                return None
        call, port = msgspec.json.decode(body, type=ProviderCall), self._engine.service.provider
        endings = port.endings(call) if port is not None else {}
        if outcome not in endings:
            raise NoSuchEnding(call.operation, tuple(endings))
        log.warning("call ended", extra={"item": item_id, "outcome": outcome, "by": by, "reason": reason})
        try:
            await self._engine.dispatcher.do(endings[outcome])
        except HandlerFailed:
            raise CallAnswered from None
        values = {"id": item_id, "detail": detail, "reason": reason, "by": by}
        async with connected(self._single) as connection:
            await connection.execute(_ENDED, values)
            self._acted.set()
            return (await connection.execute(_LAST_DISMISSAL, {"id": item_id})).first()

    async def run(self) -> None:
        """Count until cancelled: every `period` seconds, and at once after an operator has changed something."""
        gauge = self._engine.metrics.attention
        while True:
            self._acted.clear()
            try:
                for kind, number in (await self.counts()).items():
                    gauge.labels(kind).set(number)
            except StoreUnavailable as error:
                log.warning("what needs attention is not counted: %s", error)
            await set_within(self._acted, self._period)

    def _values(self) -> dict[str, Any]:
        settings: Settings = self._engine.settings
        self._failing = {
            name: self._failing[name]
            if name in self._failing and self._failing[name][1] == error
            else (self._now(), error)
            for name, error in self._engine.ailing().items()
        }
        return {
            "after": settings.saga_attention_after,
            "attempts": settings.delivery_attempts,
            "tasks": [f"task/{name}" for name in self._failing],
            "task_since": [since for since, _ in self._failing.values()],
            "task_errors": [error for _, error in self._failing.values()],
        }

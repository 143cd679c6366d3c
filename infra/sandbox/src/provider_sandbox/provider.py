"""The two providers, which decide each call once and keep the answer for ever.

Guarantee: the first call under a key decides; every later or concurrent one gets the same answer without a second
effect. A call with other content under the same key is refused.
"""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from checkout.provider_rules import QUIRKS
from provider_sandbox import records
from provider_sandbox.ledger import Ledger
from provider_sandbox.records import Record
from provider_sandbox.rules import NotAllowed, amount_of, judge
from sagakit.provider import ProviderCall
from sagakit.web.app import Conflict, NotFound, Problem, Unavailable

_FAILURES: Final = 2  # of each key with a token that fails twice


def wall_clock() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


class SandboxProvider:
    """Decides calls and records them in the ledger. `slow` is how many seconds a call with `tok_slow` takes."""

    def __init__(self, ledger: Ledger, *, slow: float = 3.0, clock: Callable[[], datetime] = wall_clock) -> None:
        self._ledger, self._slow, self._clock = ledger, slow, clock
        self._under_way: dict[str, tuple[bytes, asyncio.Task[Record]]] = {}

    async def call(self, call: ProviderCall) -> tuple[Record, bool]:
        """Return the recorded effect, and whether this call has caused it. Raises the problem 409, 422 or 503."""
        fingerprint = _fingerprint(call)
        if QUIRKS.get(call.payload.get("token") or "") == "slow":
            return await self._slowly(call, fingerprint), False
        return await self._ledger.run(lambda db: self._decide(db, call, fingerprint))

    async def recorded(self, key: str) -> Record:
        """Return the effect under the key. Raises the problem 404 if there is none; a call may still be under way."""
        return await self._ledger.run(lambda db: _existing(db, key))

    async def close(self) -> None:
        """Cancel slow calls that have had no effect yet."""
        tasks = [task for _, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _slowly(self, call: ProviderCall, fingerprint: bytes) -> Record:
        running = self._under_way.get(call.key)
        if running is not None and running[0] != fingerprint:
            raise _other_content()
        if running is None:
            task = asyncio.create_task(self._later(call, fingerprint), name=call.key)
            self._under_way[call.key] = running = (fingerprint, task)
            task.add_done_callback(lambda _: self._under_way.pop(call.key, None))
        return await asyncio.shield(running[1])

    async def _later(self, call: ProviderCall, fingerprint: bytes) -> Record:
        record = await self._ledger.run(lambda db: records.find(db, call.key))
        if record is None:
            await asyncio.sleep(self._slow)
        return (await self._ledger.run(lambda db: self._decide(db, call, fingerprint)))[0]

    def _decide(self, db: sqlite3.Connection, call: ProviderCall, fingerprint: bytes) -> tuple[Record, bool]:
        earlier = records.find(db, call.key)
        if earlier is not None:
            if earlier.fingerprint != fingerprint:
                raise _other_content()
            return earlier, False
        if (
            QUIRKS.get(call.payload.get("token") or "") == "fail_twice"
            and records.count_failure(db, call.key) <= _FAILURES
        ):
            raise Unavailable("This token fails twice before it works.")
        order_id = str(call.payload["order_id"])
        history = records.history(db, order_id)
        try:
            outcome = judge(call, history)
        except NotAllowed as error:
            raise Conflict(error.code, error.detail) from error
        record = Record(
            call.key,
            order_id,
            call.provider,
            call.operation,
            fingerprint,
            outcome.outcome,
            outcome.code,
            outcome.reference,
            *amount_of(call, history),
            self._clock().isoformat(timespec="microseconds"),
        )
        records.add(db, record)
        return record, True


def _existing(db: sqlite3.Connection, key: str) -> Record:
    record = records.find(db, key)
    if record is None:
        raise NotFound("Nothing is recorded under this key; a call under it may still be under way.")
    return record


def _fingerprint(call: ProviderCall) -> bytes:
    content = json.dumps((call.provider, call.operation, call.payload), sort_keys=True)
    return hashlib.sha256(content.encode()).digest()


def _other_content() -> Problem:
    return Problem(422, "key_reused", "Idempotency-Key: was used with other content before.")

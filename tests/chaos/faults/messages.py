"""Messages that are duplicated, delayed, reordered or delivered to two consumers at once; and poison."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from tests.chaos.faults.failpoints import NOTHING, keep, need_injection
from tests.chaos.faults.health import query
from tests.chaos.model import Fault, Injection
from tests.chaos.poison import is_poison, poison
from tests.chaos.stack import SERVICES, StackUnderTest
from tests.chaos.strangers import forge

BROKER: Final = "broker"
PER_SECOND: Final = 4
LETTERS_WITHIN: Final = 30.0
QUIET: Final = 5.0
LOOK_EVERY: Final = 0.3
Letters = dict[str, bytes]
AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

_LETTERS: Final = "SELECT id, body FROM dead_letter WHERE resolved_at IS NULL AND at >= to_timestamp($1)"


@dataclass(slots=True)
class Unreliable:
    """A service publishes its messages as `how` says; see `sagakit.modes.unreliable.MessageFault` for the kinds.

    Over Temporal, whose server keeps the tasks of a workflow in order, this applies to the starts of workflows and the
    signals to them.
    """

    name: str
    how: Mapping[str, Any]
    kind: str = "message"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        need_injection(stack)
        return _publishers(stack)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        injection = Injection(self.name, target, time.time())
        try:
            struck = await keep(
                stack, target, {**NOTHING, "messages": {"kind": self.name, **self.how}}, self.name, seconds
            )
        finally:
            injection.ended = time.time()
        injection.felt = struck > 0
        injection.detail = f"{struck} messages {self.name}"
        return injection


def _publishers(stack: StackUnderTest) -> Sequence[str]:
    """The services that publish: under orchestration over Temporal only the orchestrator; all else is activities."""
    orchestrated = stack.style == "orchestration" and stack.substrate == "temporal"
    return ("order",) if orchestrated else SERVICES


@dataclass(slots=True)
class Poisoned:
    """Messages of every kind that no consumer can handle, to all channels. Felt when there are dead letters.

    Without any it has not healed: what nobody could handle has vanished.
    """

    name: str = "poisoned"
    kind: str = "message"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return (BROKER,)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        injection = Injection(self.name, target, time.time())
        sent = max(int(seconds * PER_SECOND), 1)
        try:
            async with asyncio.timeout(seconds + LETTERS_WITHIN):
                await poison(stack.environment, stack.mode, sent, seconds)
        finally:
            injection.ended = time.time()
            letters = await asyncio.shield(_buried(stack, injection.began))
        injection.felt = bool(letters)
        injection.ended = injection.ended if letters else None
        injection.detail = f"{sent} messages that nobody can handle, {len(letters)} dead letters"
        return injection


@dataclass(slots=True)
class Strange:
    """A well-formed message about an order that nobody placed. Felt when there is a dead letter about it.

    It lasts until everything is undone, an order's deadline later: until then the audit is not clean.
    """

    name: str = "stranger"
    kind: str = "message"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return (BROKER,)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        injection = Injection(self.name, target, time.time())
        order_id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
        await forge(stack.environment, stack.mode, order_id)
        letters = await _letters_when_there(stack, injection.began, order_id.encode())
        await _undone(stack, order_id)
        letters |= await _letters_when_there(stack, injection.began, order_id.encode())  # those that came meanwhile
        injection.ended = time.time()
        injection.felt = bool(letters)
        injection.detail = f"order {order_id} was never placed: {len(letters)} dead letters about it, and all is undone"
        return injection


async def _undone(stack: StackUnderTest, order_id: str) -> None:
    """Wait until payment and shipment are cancelled; TimeoutError if that takes too long."""
    ends = {f"/payments/{order_id}": ("payment", "VOIDED"), f"/shipments/{order_id}": ("shipping", "CANCELLED")}
    async with asyncio.timeout(float(stack.environment.get("SAGA_DEADLINE", "30")) + LETTERS_WITHIN):
        for path, (service, end) in ends.items():
            while True:
                state = await stack.get(path, service, "root", "admin")
                if not state or state["status"] == end:
                    break
                await asyncio.sleep(LOOK_EVERY)


async def _buried(stack: StackUnderTest, since: float) -> Letters:
    """Wait until no more dead letters come of the poison for QUIET seconds; returns and accounts for them."""
    letters: Letters = {}
    now = last = time.monotonic()
    until = now + LETTERS_WITHIN
    while now < until and not (letters and now - last > QUIET):
        now_open = letters | {id_: body for id_, body in (await _letters(stack, since)).items() if is_poison(body)}
        now = time.monotonic()
        last = now if len(now_open) > len(letters) else last
        letters = now_open
        await asyncio.sleep(LOOK_EVERY)
    stack.accounted |= letters.keys()
    return letters


async def account_for_poison(stack: StackUnderTest, since: float) -> None:
    """Account for all dead letters of poison; a consumer that another fault had stopped wrote its ones later."""
    stack.accounted |= {id_ for id_, body in (await _letters(stack, since)).items() if is_poison(body)}


async def _letters_when_there(stack: StackUnderTest, since: float, mark: bytes) -> Letters:
    """Wait for dead letters that contain `mark`, at most LETTERS_WITHIN; returns and accounts for them."""
    letters: Letters = {}
    until = time.monotonic() + LETTERS_WITHIN
    while not letters and time.monotonic() < until:
        await asyncio.sleep(LOOK_EVERY)
        letters = {id_: body for id_, body in (await _letters(stack, since)).items() if mark in body}
    stack.accounted |= letters.keys()
    return letters


async def _letters(stack: StackUnderTest, since: float) -> Letters:
    """The open dead letters written after `since`, of all services whose database answers: id -> body."""
    questions = (query(stack, service, _LETTERS, since - 1) for service in SERVICES)
    letters: Letters = {}
    for rows in await asyncio.gather(*questions, return_exceptions=True):
        if not isinstance(rows, BaseException):
            letters |= {row["id"]: bytes(row["body"]) for row in rows}
        elif not isinstance(rows, AWAY):  # another fault may be in force there
            raise rows
    return letters


FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for fault in (
        Unreliable("duplicated", {"share": 0.5, "seconds": 5.0}),
        Unreliable("reordered", {"share": 0.5, "seconds": 2.0}),
        Unreliable("delayed", {"share": 0.5, "seconds": 3.0}),
        Unreliable("concurrent", {"share": 1.0}),
        Poisoned(),
        Strange(),
    )
}

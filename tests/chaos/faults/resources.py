"""Connections, locks and time that run out."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from quartet_stack import api
from tests.chaos.faults.failpoints import keep, need_injection
from tests.chaos.faults.health import BACK_WITHIN, answers
from tests.chaos.model import Fault, Injection
from tests.chaos.stack import SERVICES, StackUnderTest

LOOK_EVERY: Final = 0.2
CONNECT_WITHIN: Final = 3.0
MOST: Final = 200  # sessions; a server has fewer
AT_A_TIME: Final = 10
CYCLE: Final = 2.0
STALL: Final = 1.0
POINT: Final = "before-handler"

_END_OTHERS: Final = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE usename = current_user AND pid <> ALL($1) AND application_name <> 'chaos'"
)
_WAITING: Final = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"
FULL: Final = (asyncpg.TooManyConnectionsError, asyncpg.CannotConnectNowError, TimeoutError, OSError)


def _databases(stack: StackUnderTest) -> Sequence[str]:
    return tuple(f"{service}-db" for service in SERVICES)


@asynccontextmanager
async def _session(stack: StackUnderTest, target: str) -> AsyncIterator[Any]:
    """A direct session in a service's database with the service's own role; terminated afterwards."""
    url = stack.environment[f"{target.removesuffix('-db').upper()}_DATABASE_URL"].replace("+asyncpg", "", 1)
    session = await asyncpg.connect(url, timeout=CONNECT_WITHIN, server_settings={"application_name": "chaos"})
    try:
        yield session
    finally:
        session.terminate()


@dataclass(slots=True)
class PoolExhausted:
    """All connections of a database are taken: the service loses those that it has, and gets no new ones.

    Felt when the service had some, and was refused a new one because we had taken them all.
    """

    name: str = "pool-exhausted"
    kind: str = "resource"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return _databases(stack)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        injection = Injection(self.name, target, time.time())
        ended = 0
        async with AsyncExitStack() as exits:
            sessions = list[Any]()
            await _take_all(stack, target, exits, sessions)
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                if sessions:
                    ended += await sessions[0].fetchval(_END_OTHERS, [one.get_server_pid() for one in sessions])
                await _take_all(stack, target, exits, sessions)
                await asyncio.sleep(min(LOOK_EVERY, left))
        injection.ended = time.time()
        injection.felt = ended > 0
        injection.detail = f"{len(sessions)} connections taken, {ended} of the service's ended"
        return injection


async def _take_all(stack: StackUnderTest, target: str, exits: AsyncExitStack, sessions: list[Any]) -> None:
    """Open sessions, several at a time, until the server refuses one."""

    async def take() -> None:
        with suppress(*FULL):
            sessions.append(await exits.enter_async_context(_session(stack, target)))

    before = -1
    while before < len(sessions) < MOST:
        before = len(sessions)
        await asyncio.gather(*(take() for _ in range(AT_A_TIME)))


@dataclass(slots=True)
class FrozenTransaction:
    """A client takes a lock that every command of the service needs, and stays idle.

    The server ends such a session after 10 s (idle_in_transaction_session_timeout). Felt when others waited.
    """

    name: str = "frozen-transaction"
    kind: str = "resource"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return _databases(stack)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        async with _session(stack, target) as frozen, _session(stack, target) as observer:
            injection = Injection(self.name, target, time.time())
            await frozen.execute("BEGIN; LOCK TABLE inbox IN SHARE MODE")
            until, most = time.monotonic() + seconds, 0
            while (left := until - time.monotonic()) > 0:
                most = max(most, await observer.fetchval(_WAITING, frozen.get_server_pid()))
                await asyncio.sleep(min(left, LOOK_EVERY))
        injection.ended = time.time()
        injection.felt = most > 0
        injection.detail = f"up to {most} sessions waited for it"
        return injection


@dataclass(slots=True)
class SlowConsumer:
    """Each batch of a service is stalled for a second before it is handled. Felt by the failpoint's count."""

    name: str = "slow-consumer"
    kind: str = "resource"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        need_injection(stack)
        return SERVICES

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        stall = {"set": [{"point": POINT, "action": "stall", "seconds": STALL}]}
        injection = Injection(self.name, target, time.time())
        try:
            times = await keep(stack, target, stall, POINT, seconds, LOOK_EVERY)
        finally:
            injection.ended = time.time()
        injection.felt = times > 0
        injection.detail = f"{times} times {STALL:g} s"
        return injection


@dataclass(slots=True)
class RebalanceStorm:
    """A consumer leaves its group and rejoins it every two seconds, one of several replicas. Felt if it did."""

    name: str = "rebalance-storm"
    kind: str = "resource"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return SERVICES

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        name = dice.choice(sorted(await stack.named(target)))
        injection, pids = Injection(self.name, target, time.time()), [(await stack.processes())[name]]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.shield(asyncio.to_thread(api.restart, name, stack.folder))
            pids.append((await stack.processes()).get(name, 0))
            await asyncio.sleep(min(CYCLE, max(until - time.monotonic(), 0)))
        async with asyncio.timeout(BACK_WITHIN):
            await answers(stack, target)
        injection.ended = time.time()
        injection.felt = len(set(pids)) > 1
        injection.detail = f"{name} left and came back {len(pids) - 1} times"
        return injection


FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault for fault in (PoolExhausted(), FrozenTransaction(), SlowConsumer(), RebalanceStorm())
}

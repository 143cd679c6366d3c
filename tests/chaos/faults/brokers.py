"""Brokers and the Temporal server: restarted in order, and killed. The emulators forget what they held when killed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.faults.health import answers
from tests.chaos.model import Fault, Injection
from tests.chaos.stack import StackUnderTest

BACK_WITHIN: Final = 60.0
BROKER: Final = "broker"


@dataclass(frozen=True, slots=True)
class BrokerRestart:
    """Stopped gracefully, away for a while, and started again."""

    name: str = "broker-restart"
    kind: str = "process"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return (BROKER,)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        before = (await stack.processes())[stack.broker]
        injection = Injection(self.name, target, time.time())
        try:
            await asyncio.to_thread(stack.stop, stack.broker)
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(stack.start, stack.broker)
        return await _back(stack, injection, before)


@dataclass(frozen=True, slots=True)
class BrokerKill:
    """SIGKILL; its supervisor starts it again at once."""

    name: str = "broker-kill"
    kind: str = "process"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return (BROKER,)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        before = (await stack.processes())[stack.broker]
        injection = Injection(self.name, target, time.time())
        await asyncio.to_thread(stack.kill, stack.broker)
        return await _back(stack, injection, before)


async def _back(stack: StackUnderTest, injection: Injection, before: int) -> Injection:
    """Until another process has taken its place and answers."""
    async with asyncio.timeout(BACK_WITHIN):
        await stack.successor(stack.broker, before)
        await answers(stack, BROKER)
    injection.ended = time.time()
    injection.felt = True
    injection.detail = f"{stack.broker} answers again after {injection.ended - injection.began:.2f} s"
    return injection


FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in (BrokerRestart(), BrokerKill())}

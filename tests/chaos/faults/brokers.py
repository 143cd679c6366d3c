"""Brokers and the Temporal server: restarted in order, and killed. The emulators forget what they held when killed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.faults.health import back
from tests.chaos.model import Fault, Injection
from tests.chaos.stack import StackUnderTest

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
        await back(stack, injection, stack.broker, before)
        return injection


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
        await back(stack, injection, stack.broker, before)
        return injection


FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in (BrokerRestart(), BrokerKill())}

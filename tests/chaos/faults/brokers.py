"""Brokers and the Temporal server: restarted gracefully, or killed. Killed emulators lose their messages."""

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
    """The broker is stopped gracefully, stays down for a while, and is started again."""

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
    """The broker gets SIGKILL; its supervisor starts it again at once."""

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

"""Operations on a stack under load: a rolling restart, scaling, and a switch of the mode."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from quartet_stack import api
from quartet_stack.errors import StackError
from sagakit.modes import MODES
from tests.chaos.model import Fault, Injection, NotAvailable
from tests.chaos.stack import SERVICES, StackUnderTest

WHOLE: Final = "services"
STAYS: Final = 5.0
"""Seconds between a change and the change back."""


@dataclass(frozen=True, slots=True)
class RollingRestart:
    """`make restart` restarts one replica of each service at a time."""

    name: str = "rolling-restart"
    kind: str = "rollout"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return (WHOLE,)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        before = await _services(stack)
        injection = Injection(self.name, target, time.time())
        async with stack.changing:
            await asyncio.to_thread(api.roll, *SERVICES, stack_dir=stack.folder)
        injection.ended = time.time()
        after = await _services(stack)
        injection.felt = after.keys() == before.keys() and not set(after.values()) & set(before.values())
        injection.detail = f"{len(after)} processes restarted in {injection.ended - injection.began:.1f} s"
        return injection


@dataclass(frozen=True, slots=True)
class Scale:
    """Every service gets one replica more, and loses it again: partitions and leases change hands."""

    name: str = "scale"
    kind: str = "rollout"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return (WHOLE,)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        few = int(stack.environment.get("REPLICAS", "1"))
        injection = Injection(self.name, target, time.time(), felt=False)
        async with _changed(stack, {"REPLICAS": str(few + 1)}, {"REPLICAS": str(few)}):
            injection.felt = len(await _services(stack)) == len(SERVICES) * (few + 1)
        injection.ended = time.time()
        injection.detail = f"{few} → {few + 1} → {few} replicas of each service"
        return injection


@dataclass(frozen=True, slots=True)
class Switch:
    """The mode is switched to one with another broker, and back: each mode continues the orders in flight."""

    name: str = "switch"
    kind: str = "rollout"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return ("mode",)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        home = stack.mode
        there = dice.choice([mode for mode, spec in MODES.items() if spec.substrate != stack.substrate])
        injection = Injection(self.name, target, time.time(), felt=False)
        try:
            async with _changed(stack, {"mode": there}, {"mode": home}):
                injection.felt = stack.mode == there
        except StackError as error:
            raise NotAvailable(f"{there} did not come up: {error}") from error
        injection.ended = time.time()
        injection.detail = f"{home} → {there} → {home}"
        return injection


@asynccontextmanager
async def _changed(stack: StackUnderTest, there: Mapping[str, str], back: Mapping[str, str]) -> AsyncIterator[None]:
    """Change the stack's settings to `there` for the block and STAYS seconds more, then change them `back`."""
    try:
        await stack.change(**there)
        yield
        await asyncio.sleep(STAYS)
    finally:
        await asyncio.shield(stack.change(**back))


async def _services(stack: StackUnderTest) -> dict[str, int]:
    return await stack.named(*SERVICES)


FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in (RollingRestart(), Scale(), Switch())}

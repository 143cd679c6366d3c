"""A payment provider and a carrier that do not answer, answer late, fail, or are down; most by the sandbox's faults."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.chaos.faults.failpoints import need_injection
from tests.chaos.faults.health import BACK_WITHIN, answers
from tests.chaos.model import Fault, Injection, NotAvailable
from tests.chaos.stack import StackUnderTest

PROVIDER: Final = "provider"


def _sandbox(stack: StackUnderTest) -> Sequence[str]:
    if stack.environment.get("PROVIDERS") != "sandbox":
        raise NotAvailable("the providers are in the services' own processes: PROVIDERS=sandbox is needed")
    return (PROVIDER,)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox is set to misbehave; it counts how often it did."""

    name: str
    faults: Mapping[str, Any]
    kind: str = "provider"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        need_injection(stack)
        return _sandbox(stack)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        injection = Injection(self.name, target, time.time())
        try:
            await stack.call("PUT", "/faults", PROVIDER, {**self.faults, "seed": dice.randrange(2**31)})
        except httpx.HTTPStatusError as error:
            raise NotAvailable(f"the sandbox takes no faults: it answered {error.response.status_code}") from None
        try:
            await asyncio.sleep(seconds)
            fired = (await stack.call("GET", "/faults", PROVIDER))["fired"]
        finally:
            await asyncio.shield(stack.call("PUT", "/faults", PROVIDER, {}))
        injection.ended = time.time()
        injection.felt = sum(fired.values()) > 0
        injection.detail = (
            ", ".join(f"{name} {count} times" for name, count in sorted(fired.items()) if count) or "no call came"
        )
        return injection


@dataclass(frozen=True, slots=True)
class Down:
    """The sandbox is stopped: connections are refused."""

    name: str = "provider-down"
    kind: str = "provider"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return _sandbox(stack)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        before = await stack.named(PROVIDER)
        injection = Injection(self.name, target, time.time())
        try:
            await asyncio.to_thread(stack.stop, PROVIDER)
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(stack.start, PROVIDER)
        async with asyncio.timeout(BACK_WITHIN):
            await answers(stack, PROVIDER)
        injection.ended = time.time()
        injection.felt = (await stack.named(PROVIDER)) != before
        injection.detail = f"away for {injection.ended - injection.began:.1f} s"
        return injection


UNKNOWN: Final = Sandbox("provider-unknown", {"lose_answers": 0.5})
LATE: Final = Sandbox("provider-late", {"latency_ms": 2500})
"""Longer than PROVIDER_TIMEOUT (2 s): the caller has given up, and the effect takes place all the same."""
FLAKY: Final = Sandbox("provider-flaky", {"error_rate": 0.5})

FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in (UNKNOWN, LATE, FLAKY, Down())}

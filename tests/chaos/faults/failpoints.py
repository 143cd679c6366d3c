"""Faults inside a service, set through `/faults`, which it serves only with FAULT_INJECTION=on."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.faults.health import BACK_WITHIN
from tests.chaos.model import NotAvailable
from tests.chaos.stack import StackUnderTest

AGAIN_EVERY: Final = 0.5
STRIKES_WITHIN: Final = 20.0
TRIES: Final = 20
NOTHING: Final = {"set": []}


def need_injection(stack: StackUnderTest) -> None:
    """Raises NotAvailable unless the programs of the stack serve `/faults`."""
    if stack.environment.get("FAULT_INJECTION") != "on":
        raise NotAvailable("the services take no faults: FAULT_INJECTION=on is needed")


async def everywhere(stack: StackUnderTest, service: str, body: Any, seconds: float = 10.0) -> dict[int, Any]:
    """PUT the faults to every replica of a service; returns each answer, by process id.

    The replicas share a port, and the kernel chooses which of them gets a connection: so requests are repeated until
    each has answered. TimeoutError if one request has no answer for `seconds`.
    """
    replicas, answers = int(stack.environment.get("REPLICAS", "1")), dict[int, Any]()
    for _ in range(TRIES * replicas):
        answer = await stack.call("PUT", "/faults", service, body, seconds)
        answers[answer["pid"]] = answer
        if len(answers) >= replicas:
            break
    return answers


@dataclass(slots=True)
class _Strikes:
    """Counts how often a fault has struck, from the counts that the processes answer."""

    name: str
    before: dict[int, int] = field(default_factory=dict)
    now: dict[int, int] = field(default_factory=dict)

    def note(self, answers: dict[int, Any], *, first: bool = False) -> None:
        """Take in the counts of an answer; a process that started later counts from 0."""
        counts = {pid: int(answer.get("fired", {}).get(self.name, 0)) for pid, answer in answers.items()}
        if first:
            self.before = counts
        self.now |= counts

    def total(self) -> int:
        return sum(count - self.before.get(pid, 0) for pid, count in self.now.items())


async def keep(
    stack: StackUnderTest, service: str, body: Any, name: str, seconds: float, every: float | None = None
) -> int:
    """Keep a fault set for `seconds` in every replica; returns how often the one of that name struck.

    It is set repeatedly: a failpoint stalls once, and the successor of a killed process has no fault set. While another
    fault keeps all work from the service, none can strike: then it stays until one has, STRIKES_WITHIN seconds at most.
    """
    strikes, until = _Strikes(name), time.monotonic() + seconds
    strikes.note(await everywhere(stack, service, body), first=True)
    try:
        while (left := until - time.monotonic()) > (0 if strikes.total() else -STRIKES_WITHIN):
            await asyncio.sleep(min(left if left > 0 else AGAIN_EVERY, every or AGAIN_EVERY))
            with suppress(TimeoutError):  # another fault may block the service
                strikes.note(await everywhere(stack, service, body))
    finally:
        strikes.note(await asyncio.shield(everywhere(stack, service, NOTHING, BACK_WITHIN)))
    return strikes.total()

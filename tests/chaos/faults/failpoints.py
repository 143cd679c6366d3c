"""Faults that a service does to itself, set through `/faults`, which it serves with FAULT_INJECTION=on alone."""

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
TRIES: Final = 20
NOTHING: Final = {"set": []}


def need_injection(stack: StackUnderTest) -> None:
    """Raises NotAvailable unless the programs of the stack serve `/faults`."""
    if stack.environment.get("FAULT_INJECTION") != "on":
        raise NotAvailable("the services take no faults: FAULT_INJECTION=on is needed")


async def everywhere(stack: StackUnderTest, service: str, body: Any, seconds: float = 10.0) -> dict[int, Any]:
    """PUT the faults to every replica of a service; what each answered, by process id.

    The replicas share a port, and which of them gets a connection is the kernel's choice: so it is asked again.
    TimeoutError when one request has no answer for `seconds`.
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
    """How often a fault has struck in each process, from what the processes answer."""

    name: str
    before: dict[int, int] = field(default_factory=dict)
    now: dict[int, int] = field(default_factory=dict)

    def note(self, answers: dict[int, Any], *, first: bool = False) -> None:
        """A process that came later began with none."""
        counts = {pid: int(answer.get("fired", {}).get(self.name, 0)) for pid, answer in answers.items()}
        if first:
            self.before = counts
        self.now |= counts

    def total(self) -> int:
        return sum(count - self.before.get(pid, 0) for pid, count in self.now.items())


async def keep(
    stack: StackUnderTest, service: str, body: Any, name: str, seconds: float, every: float | None = None
) -> int:
    """Keep a fault set for `seconds` in every replica; how often the one of that name struck.

    It is set again and again: a failpoint stalls once, and a process that took a killed one's place knows of no fault.
    """
    strikes, until = _Strikes(name), time.monotonic() + seconds
    strikes.note(await everywhere(stack, service, body), first=True)
    try:
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, every or AGAIN_EVERY))
            with suppress(TimeoutError):  # another fault may hold the service up
                strikes.note(await everywhere(stack, service, body))
    finally:
        strikes.note(await asyncio.shield(everywhere(stack, service, NOTHING, BACK_WITHIN)))
    return strikes.total()

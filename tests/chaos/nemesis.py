"""Breaks a stack as planned, and records the effects."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from tests.chaos.model import Fault, Injection, NotAvailable
from tests.chaos.schedule import Choice, Planned, conflicts
from tests.chaos.stack import StackUnderTest

HEALS_WITHIN: Final = 90.0
"""Seconds beyond its planned end after which a fault that has not healed is given up."""

LOOK_EVERY: Final = 0.1

SETTLES: Final = 2.0
"""Seconds between two injections of faults that nobody felt the first time."""


class Witness(Protocol):
    """Receives each fault: the history and the live view do."""

    def fault(self, phase: str, fault: str, target: str, felt: bool | None = None, detail: str = "") -> None:
        """Receive the start or the end (`phase`) of a fault."""
        ...


@dataclass
class Nemesis:
    """Injects faults; `injections` are those that were in force, `missing` says which are not available, and why."""

    stack: StackUnderTest
    faults: Mapping[str, Fault]
    seed: int
    witnesses: Sequence[Witness] = ()
    injections: list[Injection] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def choices(self) -> list[Choice]:
        """The faults that are available in this stack, with their targets."""
        available = []
        for name, fault in self.faults.items():
            try:
                available.append(Choice(name, fault.kind, tuple(fault.targets(self.stack))))
            except NotAvailable as error:
                self.missing[name] = str(error)
        return available

    async def run(self, planned: Sequence[Planned]) -> None:
        """Inject each planned fault at its time, or once those in conflict have healed. Cancelled, heal everything."""
        began, pending = time.monotonic(), sorted(planned, key=lambda one: one.at)
        running: dict[asyncio.Task[None], Planned] = {}
        async with asyncio.TaskGroup() as group:
            while pending:
                running = {task: one for task, one in running.items() if not task.done()}
                for one in _due(pending, list(running.values()), time.monotonic() - began):
                    pending.remove(one)
                    running[group.create_task(self.inject(one))] = one
                await asyncio.sleep(LOOK_EVERY)

    def unfelt(self, planned: Sequence[Planned]) -> list[Planned]:
        """One more injection, one after another, of each of these faults that fired, and that nobody has felt."""
        felt = {one.fault for one in self.injections if one.felt}
        fired = {one.fault for one in self.injections if one.felt is not None}
        first = {one.fault: one for one in reversed(planned) if one.fault in fired - felt - self.missing.keys()}
        again, at = list[Planned](), 0.0
        for one in first.values():
            again.append(replace(one, at=at))
            at += one.seconds + SETTLES
        return again

    async def inject(self, planned: Planned) -> None:
        """Inject one fault, from start to end. An error of the fault is recorded, and does not stop the run."""
        name, target = planned.fault, planned.target
        dice = random.Random(f"{self.seed} {name} {target} {planned.at}")
        self._tell("start", Injection(name, target, 0.0))
        injection = Injection(name, target, time.time())
        try:
            async with asyncio.timeout(planned.seconds + HEALS_WITHIN):
                injection = await self.faults[name].inject(self.stack, target, planned.seconds, dice)
        except NotAvailable as error:
            self.missing[name] = str(error)
            injection.ended, injection.detail = time.time(), f"not run: {error}"
        except TimeoutError:
            injection.detail = f"still broken after {time.time() - injection.began:.0f} s"
        except Exception as error:  # a bug in the fault: the run continues, and cannot be green
            self.missing[name] = f"{target}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            injection.ended, injection.detail = time.time(), self.missing[name]
        self.injections.append(injection)
        self._tell("end", injection)

    def _tell(self, phase: str, one: Injection) -> None:
        for witness in self.witnesses:
            witness.fault(phase, one.fault, one.target, one.felt, one.detail)


def _due(pending: Sequence[Planned], running: Sequence[Planned], now: float) -> list[Planned]:
    """The planned faults that are due and conflict with nothing; none overtakes one that needs the whole stack."""
    due: list[Planned] = []
    for one in pending:
        if one.at > now:
            break
        if not any(conflicts(one, other) for other in (*running, *due)):
            due.append(one)
        elif one.exclusive:
            break
    return due

"""Processes that are killed, and processes that are paused for longer than any timeout."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

from tests.chaos.faults.health import answers, back
from tests.chaos.model import Fault, Injection, NotAvailable
from tests.chaos.stack import SERVICES, StackUnderTest

SILENT_AFTER: Final = 1.0
PROVIDER: Final = "provider"


@dataclass(frozen=True, slots=True)
class Kill:
    """A process gets SIGKILL, and its supervisor starts it again; of several replicas one does."""

    name: str = "kill"
    kind: str = "process"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        sandbox = stack.environment.get("PROVIDERS") == "sandbox"
        return (*SERVICES, *([PROVIDER] if sandbox else []))

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        name, before = await _one_of(stack, target, dice)
        injection = Injection(self.name, target, time.time())
        await asyncio.to_thread(stack.kill, name)
        after = await back(stack, injection, name, before)
        injection.detail += f" (pid {before} → {after})"
        return injection


@dataclass(frozen=True, slots=True)
class Pause:
    """A process gets SIGSTOP for longer than sessions, leases and visibility timeouts last, then SIGCONT."""

    name: str = "pause"
    kind: str = "process"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return (*SERVICES, "broker", *(f"{service}-db" for service in SERVICES))

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        name, pid = await _one_of(stack, stack.broker if target == "broker" else target, dice)
        injection = Injection(self.name, target, time.time(), felt=False)
        stopped = _family(pid)
        try:
            _signal(stopped, signal.SIGSTOP)
            async with asyncio.timeout(seconds):
                await _stopped(stopped)
                injection.felt = await _silent(stack, target)
                await asyncio.Event().wait()  # until the time is over
        except TimeoutError:
            pass
        finally:
            _signal(stopped, signal.SIGCONT)
            injection.ended = time.time()
        injection.detail = f"{name} stood still for {injection.ended - injection.began:.1f} s"
        return injection


async def _one_of(stack: StackUnderTest, name: str, dice: random.Random) -> tuple[str, int]:
    """The name and id of the process of that name, or of one of its replicas."""
    running = await stack.named(name)
    if not running:
        raise NotAvailable(f"no process of the name {name} runs")
    chosen = dice.choice(sorted(running))
    return chosen, running[chosen]


async def _silent(stack: StackUnderTest, target: str) -> bool:
    """Whether the paused process answers nothing. With replicas the others answer: then the pause itself counts."""
    if int(stack.environment.get("REPLICAS", "1")) > 1 and target in SERVICES:
        return True
    try:
        async with asyncio.timeout(SILENT_AFTER):
            await answers(stack, target)
    except TimeoutError:
        return True
    return False


def _family(pid: int) -> list[psutil.Process]:
    """A process and its descendants: a database has a process for each session."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


async def _stopped(processes: Sequence[psutil.Process]) -> None:
    """Wait until all of them stand still: for a moment after the signal another core may still answer."""
    for process in processes:
        while True:  # not `while _runs(process)`: there is no event to wait for
            if not _runs(process):
                break
            await asyncio.sleep(0.01)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in (Kill(), Pause())}

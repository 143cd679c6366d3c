"""Samples the resources of a stack's processes: memory, connections, threads and file descriptors."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

from tests.chaos.stack import SERVICES, StackUnderTest

EVERY: Final = 2.0
LETS_GO: Final = 35.0
"""Seconds after which no idle connection is left: they are kept for at most 15 s, and pools check every 15 s."""

GROWTH: Final[Mapping[str, tuple[float, float]]] = {
    "memory": (1.5, 48 * 2**20),
    "connections": (1.0, 10),
    "threads": (1.0, 10),
    "files": (1.0, 24),
}
"""What a process may use at the end: factor * before the faults + margin (memory in bytes)."""

WATCHED: Final = (*SERVICES, "provider")


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one time. `at`: seconds of `time.time()`; `memory`: resident, in bytes; the others are counts.

    `connections` are its open sockets: those of a process in a container can be counted too.
    """

    at: float
    name: str
    pid: int
    memory: int
    connections: int
    threads: int
    files: int


async def watch(stack: StackUnderTest, samples: list[Sample], every: float = EVERY) -> None:
    """Until cancelled, append a sample of each service and of the provider."""
    while True:
        samples += await look(stack)
        await asyncio.sleep(every)


async def look(stack: StackUnderTest) -> list[Sample]:
    """Take a sample of each watched process; those that have just ended are left out."""
    return await asyncio.to_thread(_samples, await stack.named(*WATCHED))


async def calm(stack: StackUnderTest, before: Mapping[str, Sample], seconds: float = LETS_GO) -> list[Sample]:
    """Sample until nothing uses more than GROWTH allows, at most for that many seconds; returns the last samples."""
    until = time.monotonic() + seconds
    while True:
        samples = await look(stack)
        if not grown(before, last(samples)) or time.monotonic() > until:
            return samples
        await asyncio.sleep(1.0)


def last(samples: Iterable[Sample]) -> dict[str, Sample]:
    """The last sample of each process, by name."""
    return {one.name: one for one in sorted(samples, key=lambda one: one.at)}


def grown(before: Mapping[str, Sample], after: Mapping[str, Sample]) -> list[str]:
    """What uses more than GROWTH allows, one line each."""
    lines = []
    for name in sorted(before.keys() & after.keys()):
        for what, (times, more) in GROWTH.items():
            then, now = getattr(before[name], what), getattr(after[name], what)
            if now > then * times + more:
                lines.append(f"{name}: {what} from {_shown(what, then)} to {_shown(what, now)}")
    return lines


def _shown(what: str, value: int) -> str:
    return f"{value >> 20} MB" if what == "memory" else str(value)


def _samples(running: Mapping[str, int]) -> list[Sample]:
    samples: list[Sample] = []
    for name, pid in running.items():
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                samples.append(
                    Sample(
                        time.time(),
                        name,
                        pid,
                        process.memory_info().rss,
                        _sockets(pid),
                        process.num_threads(),
                        process.num_fds(),
                    )
                )
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            continue
    return samples


def _sockets(pid: int) -> int:
    count = 0
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            count += os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith("socket:")
    return count

"""Measures one thing after another on stacks of its own, a stack for each number of stored orders."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Final

import asyncpg
import psutil
import uvloop

from checkout_audit.target import Target
from loadtests.bench.measure import Stopwatch, counters
from loadtests.buyers import Buyers
from loadtests.fill.__main__ import fill
from loadtests.fill.book import Plan
from loadtests.overload import Overload, Phase
from loadtests.stored.record import Audit, Record, Sample
from quartet_stack import api
from quartet_stack.settings import PORTS

PORT_OFFSET: Final = "14000"
WARM_UP: Final = 3.0
_MEGABYTE: Final = 1024 * 1024


@dataclass(slots=True)
class Stored:
    """The stacks: STACK_DIR of each is `folder` with its size. One of them runs at a time."""

    record: Record
    folder: str
    environ: Mapping[str, str]
    running: int | None = field(default=None, init=False)

    def stack_dir(self, size: int) -> str:
        """The folder of the stack with so many orders."""
        return f"{self.folder}-{size}"

    def up(self, size: int) -> dict[str, str]:
        """Start that stack and stop the one that runs; its environment. It is filled if it was not."""
        if self.running != size:
            self.down()
        settings = {
            **dict.fromkeys(PORTS, ""),
            "STACK_DIR": self.stack_dir(size),
            "PORT_OFFSET": self.environ.get("STORED_PORT_OFFSET") or PORT_OFFSET,
            "PROVIDERS": "instant",
            "STACK": "native",
            "REPLICAS": "1",
        }
        stack = api.up(self.record.mode, env=settings)
        self.running = size
        if size not in self.record.filled:
            began = time.monotonic()
            databases = Target.from_environment(stack).databases
            asyncio.run(fill(databases, Plan(orders=size), lambda done, what: None))
            self.record.filled[size] = round(time.monotonic() - began, 1)
        return stack

    def down(self) -> None:
        """Stop the stack that runs. The smallest one is emptied, or it would grow by what is measured."""
        if self.running is None:
            return
        smallest = self.running == min(self.record.sizes)
        api.down(self.stack_dir(self.running), delete_data=smallest)
        if smallest:
            self.record.filled.pop(self.running, None)
        self.running = None

    def clean(self) -> None:
        """Delete all stacks."""
        self.down()
        for size in self.record.sizes:
            api.down(self.stack_dir(size), delete_data=True)

    def sample(self, size: int, number: int) -> Sample:
        """Load the stack, and measure."""
        stack = self.up(size)
        watch = Stopwatch(self.stack_dir(size))
        stored = asyncio.run(_orders(stack["ORDER_DATABASE_URL"]))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            buyers = Buyers(stack["ORDER_URL"], stack["TOKEN_SIGNING_KEY"])
            overload = Overload(buyers, number)
            runner.run(overload.clients(self.record.clients, WARM_UP))
            before, began = counters(stack).completed, watch.read()
            phase: Phase = runner.run(overload.clients(self.record.clients, self.record.seconds))
            ended, after = watch.read(), counters(stack).completed
            buyers.close()
        took = sorted(one.seconds * 1000 for one in phase.completed)
        hundredths = quantiles(took, n=100)
        return Sample(
            size=size,
            number=number,
            stored=stored,
            completed=after - before,
            seconds=round(phase.seconds, 3),
            p50=round(hundredths[49], 1),
            p99=round(hundredths[98], 1),
            cpu_ms=dict((ended - began).cpu),
        )

    def audit(self, size: int) -> Audit:
        """Audit the stack in a process of its own."""
        stack = self.up(size)
        began, most = time.monotonic(), 0.0
        with subprocess.Popen(
            [sys.executable, "-m", "checkout_audit"],
            env={**os.environ, **stack, "FORMAT": "json"},
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            written = b""
            while process.poll() is None:
                most = max(most, _memory(process.pid))
                written += process.stdout.read() or b""
                time.sleep(0.1)  # the interval of what is sampled
            seconds = time.monotonic() - began
            written += process.stdout.read() or b""
        report = json.loads(written)
        orders = sum(report["counts"]["orders"].values())
        return Audit(size, orders, round(seconds, 2), round(most), report["consistent"])


async def _orders(url: str) -> int:
    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        return int(await connection.fetchval("SELECT count(*) FROM orders"))
    finally:
        await connection.close()


def _memory(pid: int) -> float:
    """Of a process and all its children, in MB; what they share counts once."""
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
        return sum(float(one.memory_full_info().pss) for one in members) / _MEGABYTE
    except psutil.Error:  # one of them has just ended
        return 0.0

"""The live view of a run: phase, faults in force, orders by state, rate and latency.

On a terminal it is a panel that is drawn twice a second; elsewhere a line for each fault, and one every ten seconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tests.chaos.model import Check, Verdict

EVERY: Final = 0.5
LINES_EVERY: Final = 10.0
SPAN: Final = 10.0
"""Rate and latency are those of the last so many seconds."""

STYLES: Final = {Verdict.TRUE: "green", Verdict.FALSE: "bold red", Verdict.UNKNOWN: "yellow"}


@dataclass
class Tail:
    """Follows a history, and counts."""

    path: Path
    offset: int = 0
    asked: dict[str, float] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    recent: deque[tuple[float, float]] = field(default_factory=deque)

    def read(self) -> None:
        """Read all whole lines that are new."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))

    def rate(self, now: float) -> float:
        """Orders that were answered with their end, per second."""
        return sum(1 for at, _ in self.recent if now - at <= SPAN) / SPAN

    def latency(self, now: float) -> float | None:
        """The median latency in ms; None if no order was answered."""
        times = [ms for at, ms in self.recent if now - at <= SPAN]
        return median(times) if times else None

    def _take(self, line: dict[str, Any]) -> None:
        if line.get("op") != "order":
            return
        if line["type"] == "invoke":
            self.asked[line["id"]] = line["at"]
            return
        self.asked.pop(line["id"], None)
        status = line["status"] if line["type"] == "ok" else line["type"]
        self.statuses[status or line["type"]] += 1
        if status in ("COMPLETED", "CANCELLED"):
            self.recent.append((line["at"], line["ms"]))
            while line["at"] - self.recent[0][0] > 2 * SPAN:
                self.recent.popleft()


@dataclass
class View:
    """Shows a run; `broken` maps what is broken to since when; `tail` follows the history, once there is one."""

    console: Console
    mode: str
    phase: str = "starting"
    broken: dict[str, float] = field(default_factory=dict)
    tail: Tail | None = None
    _began: float = field(default_factory=time.monotonic)
    _live: Live | None = None

    def say(self, text: str) -> None:
        """Print one line, which stays."""
        self.console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/] {self.mode}: {text}")

    def enter(self, phase: str) -> None:
        """A new phase begins."""
        self.phase = phase
        self.say(phase)

    def fault(self, phase: str, fault: str, target: str, felt: bool | None = None, detail: str = "") -> None:
        """A fault begins, or has ended."""
        name = f"{fault} {target}"
        if phase == "start":
            self.broken[name] = time.time()
            self.say(f"[red]breaks[/] {name}")
            return
        self.broken.pop(name, None)
        how = {True: "felt", False: "[yellow]not felt[/]", None: "[yellow]not known whether felt[/]"}[felt]
        self.say(f"[green]healed[/] {name}: {how}; {escape(detail)}")

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draw the panel while the block runs, if the console is a terminal."""
        if not self.console.is_terminal:
            yield
            return
        with Live(self.panel(), console=self.console, refresh_per_second=2, transient=True) as live:
            self._live = live
            yield

    async def follow(self) -> None:
        """Read and show the history until cancelled."""
        last_line = time.monotonic()
        while True:
            if self.tail is not None:
                self.tail.read()
            if self._live is not None:
                self._live.update(self.panel())
            elif not self.console.is_terminal and time.monotonic() - last_line >= LINES_EVERY:
                last_line = time.monotonic()
                self.say(self.line())
            await asyncio.sleep(EVERY)

    def line(self) -> str:
        """The state in one line."""
        broken = f"broken: {', '.join(self.broken)}" if self.broken else "nothing is broken"
        return f"{broken}; {self._orders()}" if self.tail else broken

    def panel(self) -> Panel:
        table = Table.grid(padding=(0, 2))
        now = time.time()
        for name, since in self.broken.items():
            table.add_row(Text("broken", "bold red"), name, f"for {now - since:.0f} s")
        title = f"chaos: {self.mode}, {self.phase}, {time.monotonic() - self._began:.0f} s"
        return Panel(Group(table, Text(self._orders())), title=title, title_align="left")

    def _orders(self) -> str:
        if self.tail is None:
            return "no order yet"
        now, tail = time.time(), self.tail
        states = ", ".join(f"{status} {count}" for status, count in sorted(tail.statuses.items()))
        latency = tail.latency(now)
        pace = f"{tail.rate(now):.1f} orders/s" + (f", median {latency:.0f} ms" if latency is not None else "")
        return f"in flight {len(tail.asked)}, {states or 'none answered'}; {pace}"


def show(checks: list[Check], mode: str, console: Console) -> None:
    """The verdicts as a table."""
    table = Table("check", "verdict", "what was seen", title=f"{mode}: what was checked", title_justify="left")
    for check in checks:
        table.add_row(check.name, Text(str(check.verdict), STYLES[check.verdict]), Text(check.detail))
    console.print(table)

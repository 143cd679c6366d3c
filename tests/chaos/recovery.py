"""How fast a killed service recovers: many kills of each service under a steady load, in each mode.

python -m tests.chaos.recovery [MODES=kafka,temporal,pubsub KILLS=30 RATE=4 FOLDER=reports/recovery in the environment]

Each kill is a line in FOLDER/kills.jsonl and is not repeated: the same command resumes an interrupted run. Exit status
0 if all bounds hold, 1 if not, 2 for bad input. The bounds, in seconds after the SIGKILL: the first request that the
killed service accepts (2.0, 95th percentile), and the first completion of an order placed after it (8.0, 95th
percentile). All orders placed before the first accepted request settle within 15.0 s of it, each time. Over all kills
of a service, at least 95 % as many orders complete in the calm after them as before them. The audit must be clean.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress, TaskID

from checkout_audit.audit import audit
from checkout_audit.target import Target
from loadtests.bench.tables import Table
from loadtests.outcomes import share
from quartet_stack import api
from tests.chaos.kills import Kill, kill_all
from tests.chaos.settings import modes_of, number, whole
from tests.e2e.stack import SERVICES, Stack

BOUNDS: Final = {"accepted": 2.0, "completed": 8.0, "settled": 15.0}
THROUGHPUT: Final = 0.95
HOLDS: Final = "yes"
FILE: Final = "kills.jsonl"
STACK: Final = {"STACK_DIR": ".stack/recovery", "PORT_OFFSET": "17000", "STACK": "native", "FAULT_INJECTION": "off"}


def main() -> int:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        modes = modes_of(os.environ.get("MODES") or "kafka,temporal,pubsub")
        kills, rate = whole(os.environ, "KILLS", 30, 1, 10_000), number(os.environ, "RATE", 4, 1000)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    record = Path(os.environ.get("FOLDER", "reports/recovery")) / FILE
    record.parent.mkdir(parents=True, exist_ok=True)
    known, consistent = read(record), True
    with Progress(console=console, disable=not console.is_terminal) as progress:
        for mode in modes:
            todo = missing(known, mode, kills)
            bar = progress.add_task(mode, total=kills * len(SERVICES), completed=kills * len(SERVICES) - len(todo))

            def done(kill: Kill, bar: TaskID = bar) -> None:
                known.append(kill)
                with record.open("a") as lines:
                    lines.write(json.dumps(asdict(kill)) + "\n")
                progress.advance(bar)
                console.print(_line(kill), markup=False)

            consistent = (not todo or _in_mode(mode, todo, rate, done, console)) and consistent
    return 0 if judge([kill for kill in known if kill.mode in modes], console) and consistent else 1


def read(record: Path) -> list[Kill]:
    """Read the kills of earlier runs, without a last line that was cut off by an interruption."""
    kills: list[Kill] = []
    for line in record.read_text().splitlines() if record.exists() else ():
        with suppress(ValueError, TypeError):
            kills.append(Kill(**json.loads(line)))
    return kills


def missing(on_record: Sequence[Kill], mode: str, kills: int) -> list[tuple[str, int]]:
    """The (service, number) of the kills that are still to be done, one service after the other in turns."""
    done = {(kill.service, kill.number) for kill in on_record if kill.mode == mode}
    planned = [(service, number) for number in range(1, kills + 1) for service in SERVICES]
    return [one for one in planned if one not in done]


def _in_mode(
    mode: str, todo: Sequence[tuple[str, int]], rate: float, done: Callable[[Kill], None], console: Console
) -> bool:
    """Do these kills on a stack of their own; returns whether the audit is clean afterwards."""
    folder = Path(STACK["STACK_DIR"]).resolve()
    api.down(folder, delete_data=True)
    try:
        environment = api.up(mode, env=STACK)
        asyncio.run(kill_all(Stack(mode, folder, environment), todo, rate, done))
        report = audit(Target.from_environment(environment))
        if not report.consistent:
            console.print(f"{mode}: the audit is not clean: {report}", markup=False)
        return bool(report.consistent)
    finally:
        api.down(folder, delete_data=True)


def judge(kills: Sequence[Kill], console: Console) -> bool:
    """Print the figures by mode and service; returns whether all bounds hold."""
    table = by_service(kills)
    console.print(table.drawn())
    return bool(kills) and all(row[-1] == HOLDS for row in table.rows)


def by_service(kills: Sequence[Kill]) -> Table:
    """A row for each mode and service: seconds after a SIGKILL, and orders completed in the calm before and after."""
    head = ("mode", "service", "kills", "accepted p95", "completed p95", "settled max", "before", "after", "wrong")
    rows = []
    for mode in dict.fromkeys(kill.mode for kill in kills):
        for service in SERVICES:
            if these := [kill for kill in kills if (kill.mode, kill.service) == (mode, service)]:
                holds, figures = judged(these)
                rows.append([f"`{mode}`", service, str(len(these)), *figures, HOLDS if holds else "NO"])
    return Table("after a SIGKILL, in seconds; orders completed in the calm before and after", (*head, "holds"), rows)


def judged(kills: Sequence[Kill]) -> tuple[bool, Sequence[str]]:
    """Whether the bounds hold for these kills of one service in one mode, and the figures as text."""
    accepted, completed = p95([kill.accepted for kill in kills]), p95([kill.completed for kill in kills])
    settled = max(kill.settled for kill in kills)
    before, after, wrong = (sum(getattr(kill, name) for kill in kills) for name in ("before", "after", "wrong"))
    holds = (
        accepted <= BOUNDS["accepted"]
        and completed <= BOUNDS["completed"]
        and settled <= BOUNDS["settled"]
        and after >= THROUGHPUT * before
        and not wrong
    )
    return holds, (f"{accepted:.2f}", f"{completed:.2f}", f"{settled:.2f}", str(before), str(after), str(wrong))


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, by nearest rank."""
    return share(sorted(values), 0.95)


def _line(kill: Kill) -> str:
    return (
        f"{kill.mode} {kill.service} {kill.number}: accepted {kill.accepted:.2f} s, completed {kill.completed:.2f} s,"
        f" settled {kill.settled:.2f} s, {kill.before} before, {kill.after} after, {kill.wrong} wrong"
    )


if __name__ == "__main__":
    sys.exit(main())

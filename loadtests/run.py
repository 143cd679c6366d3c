"""`make load`: Locust against the running stack, then drain, then audit.

Exit status 0 if every order ended as its kind must and the audit is clean, 1 if not, 2 if it could not run.
Settings: RATE (orders/s), DURATION (s), USERS (customers), SHAPE, MIX, SEED, WORKERS (processes of Locust), TRACE (a
history whose orders arrive again), OBJECTIVES (see `loadtests.objectives`), P95 (the same as OBJECTIVES="good.p95<…").
`SHAPE=overload` and `SHAPE=flash-sale` are experiments of their own: `loadtests.overload`, `loadtests.flash_sale`.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from html import escape
from math import ceil
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from loadtests import flash_sale, overload
from loadtests.auditing import audited
from loadtests.history import FILE as HISTORY
from loadtests.history import appending
from loadtests.objectives import FAILED, GOOD, Objective, missed, parse
from loadtests.outcomes import FILE, figures
from loadtests.readiness import urls, watching
from loadtests.shapes import SHAPES
from loadtests.shoppers import Kind, mix
from loadtests.trace import trace
from quartet_stack.errors import StackError
from quartet_stack.settings import stack_environment

REPORTS: Final = Path("reports")
EXPERIMENTS: Final = {"overload": overload.main, "flash-sale": flash_sale.main}
console = Console()


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Read the settings of the run, with defaults for what is not set.

    Raises:
        ValueError: A setting is wrong; the message names it.
    """
    values = {"RATE": "10", "DURATION": "30", "USERS": "50", "SHAPE": "constant", "MIX": "all", "SEED": "1"}
    values |= {"WORKERS": "1", "TRACE": "", "OBJECTIVES": ""}
    values |= {name: environ[name] for name in values if environ.get(name)}
    if environ.get("P95"):
        values["OBJECTIVES"] += f",{GOOD}.p95<{environ['P95']}"
    for name in ("RATE", "DURATION", "USERS", "WORKERS"):
        try:
            wrong = float(values[name]) <= 0
        except ValueError:
            wrong = True
        if wrong:
            raise ValueError(f"{name}={values[name]!r} must be a number greater than 0")
    if values["SHAPE"] not in SHAPES:
        raise ValueError(f"SHAPE={values['SHAPE']!r} is unknown; valid are: {', '.join([*SHAPES, *EXPERIMENTS])}")
    if not values["WORKERS"].isdigit():
        raise ValueError(f"WORKERS={values['WORKERS']!r} must be a whole number")
    mix(values["MIX"])
    parse(values["OBJECTIVES"])
    if values["TRACE"]:
        values["DURATION"] = f"{ceil(_trace(Path(values['TRACE']))[-1][0]) + 3}"
    return values


def _trace(path: Path) -> list[tuple[float, Kind]]:
    """The orders of a trace, sorted; an unreadable file is a wrong setting.

    Raises:
        ValueError: The file cannot be read, or has no orders.
    """
    try:
        return sorted(trace(path), key=lambda one: one[0])
    except OSError as error:
        raise ValueError(f"TRACE={path}: {error.strerror}") from None


def locust(values: Mapping[str, str], stack: Mapping[str, str], folder: Path, log: Path | None = None) -> int:
    """Run Locust; returns its exit status. Leaves report.html, the outcomes and the history in `folder`.

    What Locust logs goes to `log`, or else to standard error.
    """
    (folder / FILE).unlink(missing_ok=True)  # of a load that was interrupted: outcomes are appended
    command, environment = invocation(values, stack, folder)
    with log.open("w") if log else nullcontext() as stderr:
        return subprocess.run(
            command, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=stderr
        ).returncode


def invocation(
    values: Mapping[str, str], stack: Mapping[str, str], folder: Path
) -> tuple[Sequence[str], Mapping[str, str]]:
    """The command line and the environment to start Locust with. SIGUSR1 ends the load early."""
    workers = values.get("WORKERS", "1")
    command = [
        sys.executable,
        *("-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--users", workers, "--spawn-rate", workers),
        *(("--processes", workers, "--master-bind-host", "127.0.0.1") if workers != "1" else ()),
        *("--run-time", f"{values['DURATION']}s", "--stop-timeout", "60", "--host", stack["ORDER_URL"]),
        *("--html", str(folder / "report.html"), "--csv", str(folder / "load"), "--only-summary"),
        *("--loglevel", "WARNING", "--exit-code-on-error", "1"),
    ]
    files = {"HISTORY": str(folder / HISTORY), "ORDERS": str(folder / FILE)}
    return command, {**os.environ, **values, **files, "TOKEN_SIGNING_KEY": stack["TOKEN_SIGNING_KEY"]}


def judge(folder: Path, objectives: Sequence[Objective], duration: float) -> list[str]:
    """Print the figures; returns what is wrong: orders that ended wrongly, objectives that are missed."""
    table = Table("kind", "orders", "failed", "orders/s", "p50 ms", "p95 ms", "p99 ms", title="orders by kind")
    kinds = figures(folder / FILE)
    for name, kind in kinds.items():
        counts = (str(kind.orders), str(kind.failed), f"{kind.orders / duration:.1f}")
        table.add_row(name, *counts, *(f"{ms:.0f}" for ms in (kind.p50, kind.p95, kind.p99)))
    console.print(table)
    failed = [
        f"failed: {name}: {what} ({times} times)" for name, kind in kinds.items() for what, times in kind.wrong.items()
    ]
    if any(objective.name == FAILED for objective in objectives):
        for line in failed:
            console.print(line)
        failed = []  # how many may fail is an objective
    wrong = [*failed, *filter(None, (missed(one, kinds, folder / FILE) for one in objectives))]
    if not kinds:
        wrong = ["no order was placed: nothing was measured"]
    for line in wrong:
        console.print(line, markup=False)
    return wrong


def annotated(report: str, wrong: Sequence[str], clean: bool) -> str:
    """Locust's HTML report with the verdict on top: what is wrong, and whether the audit is clean. Pure."""
    verdict = ["the audit is clean" if clean else "the audit is NOT clean", *wrong]
    colour = "#0b7a53" if clean and not wrong else "#b42318"
    style = f"padding:1rem;color:#fff;background:{colour};font:16px sans-serif"
    banner = f'<div style="{style}">{escape("; ".join(verdict))}</div>'
    return re.sub(r"(<body[^>]*>)", lambda body: body[1] + banner, report, count=1)


def main() -> int:
    """Load the running stack, then audit it; returns the exit status."""
    if experiment := EXPERIMENTS.get(os.environ.get("SHAPE", "")):
        return experiment()
    try:
        values = settings(os.environ)
        stack = stack_environment()
    except (ValueError, StackError) as error:
        print(error, file=sys.stderr)
        return 2
    folder = REPORTS / f"load-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True, exist_ok=True)
    mode, rate, duration = stack["COORDINATION_MODE"], values["RATE"], values["DURATION"]
    console.print(f"load: {mode}, {rate} orders/s for {duration} s, mix {values['MIX']}, seed {values['SEED']}")
    with appending(folder / HISTORY, "load") as history, watching(urls(stack), history):
        status = locust(values, stack, folder)
    if status not in (0, 1):
        console.print(f"Locust ended with status {status}; see its output above")
        return 2
    wrong = judge(folder, parse(values["OBJECTIVES"]), float(values["DURATION"]))
    clean = audited({"HISTORY": str(folder / HISTORY)})
    report = folder / "report.html"
    report.write_text(annotated(report.read_text(), wrong, clean))
    console.print(f"report: {report}")
    return 0 if clean and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())

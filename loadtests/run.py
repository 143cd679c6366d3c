"""`make load`: Locust against the running stack, then drain, then audit.

Exit status 0 if every order ended as its kind must and the audit is clean, 1 if not, 2 if it could not run.
Settings: RATE (orders/s), DURATION (s), USERS (customers), SHAPE, MIX, SEED, P95 (ms, an objective for good orders).
"""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from loadtests.shapes import SHAPES
from loadtests.shoppers import mix
from native_stack.errors import StackError
from native_stack.settings import stack_environment

REPORTS: Final = Path("reports")
console = Console()


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of the run; ValueError names the one that is wrong."""
    values = {"RATE": "10", "DURATION": "30", "USERS": "50", "SHAPE": "constant", "MIX": "all", "SEED": "1"}
    values |= {name: environ[name] for name in values if environ.get(name)}
    for name in ("RATE", "DURATION", "USERS"):
        try:
            wrong = float(values[name]) <= 0
        except ValueError:
            wrong = True
        if wrong:
            raise ValueError(f"{name}={values[name]!r} must be a number greater than 0")
    if values["SHAPE"] not in SHAPES:
        raise ValueError(f"SHAPE={values['SHAPE']!r} is unknown; valid are: {', '.join(SHAPES)}")
    mix(values["MIX"])
    return values


def locust(values: Mapping[str, str], stack: Mapping[str, str], folder: Path) -> int:
    """Run Locust; its exit status. Leaves report.html, the statistics and the clients' history in `folder`."""
    command = [
        sys.executable,
        *("-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--users", "1", "--spawn-rate", "1"),
        *("--run-time", f"{values['DURATION']}s", "--stop-timeout", "60", "--host", stack["ORDER_URL"]),
        *("--html", str(folder / "report.html"), "--csv", str(folder / "load"), "--only-summary"),
        *("--loglevel", "WARNING", "--exit-code-on-error", "1"),
    ]
    environment = {**os.environ, **values, "JWT_SECRET": stack["JWT_SECRET"], "HISTORY": str(folder / "history.jsonl")}
    return subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL).returncode


def orders(folder: Path) -> list[dict[str, str]]:
    """What Locust counted, a row for each kind of order, in its own columns; times in ms."""
    with (folder / "load_stats.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["Type"] == "ORDER"]


def judge(folder: Path, p95_max: float | None, duration: float) -> bool:
    """Print what was measured; whether nothing failed and the objective holds."""
    table = Table("kind", "orders", "failed", "orders/s", "p50 ms", "p95 ms", "p99 ms", title="orders by kind")
    fine, seen = True, 0
    for row in orders(folder):
        count, failed = int(row["Request Count"]), int(row["Failure Count"])
        seen += count
        fine &= failed == 0
        if row["Name"] == "good" and p95_max is not None and float(row["95%"]) > p95_max:
            console.print(f"objective missed: p95 of good orders is {row['95%']} ms, P95 is {p95_max:g} ms")
            fine = False
        table.add_row(
            row["Name"], str(count), str(failed), f"{count / duration:.1f}", row["50%"], row["95%"], row["99%"]
        )
    console.print(table)
    with (folder / "load_failures.csv").open() as file:
        for row in csv.DictReader(file):
            console.print(f"failed: {row['Name']}: {row['Error']} ({row['Occurrences']} times)")
    if not seen:
        console.print("no order was placed: nothing was measured")
    return fine and seen > 0


def main() -> int:
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
    status = locust(values, stack, folder)
    if status not in (0, 1):
        console.print(f"Locust ended with status {status}; see its output above")
        return 2
    objective = float(os.environ["P95"]) if os.environ.get("P95") else None
    fine = judge(folder, objective, float(values["DURATION"]))
    history = {**os.environ, "HISTORY": str(folder / "history.jsonl")}
    audited = subprocess.run([sys.executable, "-m", "checkout_audit"], check=False, env=history).returncode
    console.print(f"report: {folder / 'report.html'}")
    return 0 if fine and audited == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

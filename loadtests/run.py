"""`make load`: Locust against the running stack, then drain, then audit.

Exit status 0 if every order ended as its kind must and the audit is clean, 1 if not, 2 if it could not run.
Settings: RATE (orders/s), DURATION (s), USERS (customers), SHAPE, MIX, SEED, P95 (ms, an objective for good orders).
`SHAPE=overload` and `SHAPE=flash-sale` are experiments of their own: `loadtests.overload`, `loadtests.flash_sale`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from loadtests import flash_sale, overload
from loadtests.auditing import audited
from loadtests.history import FILE as HISTORY
from loadtests.history import appending
from loadtests.outcomes import FILE, figures
from loadtests.readiness import urls, watching
from loadtests.shapes import SHAPES
from loadtests.shoppers import mix
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
    values |= {name: environ[name] for name in values if environ.get(name)}
    for name in ("RATE", "DURATION", "USERS"):
        try:
            wrong = float(values[name]) <= 0
        except ValueError:
            wrong = True
        if wrong:
            raise ValueError(f"{name}={values[name]!r} must be a number greater than 0")
    if values["SHAPE"] not in SHAPES:
        raise ValueError(f"SHAPE={values['SHAPE']!r} is unknown; valid are: {', '.join([*SHAPES, *EXPERIMENTS])}")
    mix(values["MIX"])
    return values


def locust(values: Mapping[str, str], stack: Mapping[str, str], folder: Path, log: Path | None = None) -> int:
    """Run Locust; returns its exit status. Leaves report.html, the outcomes and the history in `folder`.

    What Locust logs goes to `log`, or else to standard error.
    """
    command, environment = invocation(values, stack, folder)
    with log.open("w") if log else nullcontext() as stderr:
        return subprocess.run(
            command, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=stderr
        ).returncode


def invocation(
    values: Mapping[str, str], stack: Mapping[str, str], folder: Path
) -> tuple[Sequence[str], Mapping[str, str]]:
    """The command line and the environment to start Locust with. SIGUSR1 ends the load early."""
    command = [
        sys.executable,
        *("-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--users", "1", "--spawn-rate", "1"),
        *("--run-time", f"{values['DURATION']}s", "--stop-timeout", "60", "--host", stack["ORDER_URL"]),
        *("--html", str(folder / "report.html"), "--csv", str(folder / "load"), "--only-summary"),
        *("--loglevel", "WARNING", "--exit-code-on-error", "1"),
    ]
    files = {"HISTORY": str(folder / HISTORY), "ORDERS": str(folder / FILE)}
    return command, {**os.environ, **values, **files, "TOKEN_SIGNING_KEY": stack["TOKEN_SIGNING_KEY"]}


def judge(folder: Path, p95_max: float | None, duration: float) -> bool:
    """Print the figures; returns whether no order ended wrongly and the objective is met."""
    table = Table("kind", "orders", "failed", "orders/s", "p50 ms", "p95 ms", "p99 ms", title="orders by kind")
    kinds = figures(folder / FILE)
    fine = not any(kind.failed for kind in kinds.values())
    for name, kind in kinds.items():
        if name == "good" and p95_max is not None and kind.p95 > p95_max:
            console.print(f"objective missed: p95 of good orders is {kind.p95:.0f} ms, P95 is {p95_max:g} ms")
            fine = False
        counts = (str(kind.orders), str(kind.failed), f"{kind.orders / duration:.1f}")
        table.add_row(name, *counts, *(f"{ms:.0f}" for ms in (kind.p50, kind.p95, kind.p99)))
    console.print(table)
    for name, kind in kinds.items():
        for what, times in kind.wrong.items():
            console.print(f"failed: {name}: {what} ({times} times)")
    if not kinds:
        console.print("no order was placed: nothing was measured")
    return fine and bool(kinds)


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
    objective = float(os.environ["P95"]) if os.environ.get("P95") else None
    fine = judge(folder, objective, float(values["DURATION"]))
    clean = audited({"HISTORY": str(folder / HISTORY)})
    console.print(f"report: {folder / 'report.html'}")
    return 0 if fine and clean else 1


if __name__ == "__main__":
    sys.exit(main())

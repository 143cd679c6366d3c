"""`python -m checkout_audit`: exit status 0 consistent, 1 violated, 2 no verdict (one line says what to do).

Settings, all from the environment: AUDIT_WAIT (seconds to wait until nothing is in flight, 60), FORMAT (table, json),
HISTORY (a file of what clients were told), SINCE (check only orders that changed since: seconds before now, or an ISO
8601 time, in UTC unless it says otherwise), and those of `Target.from_environment`.
"""

import asyncio
import gc
import json
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from checkout_audit.audit import WAIT, AuditOptions, examine
from checkout_audit.clients import BadHistory, read_history
from checkout_audit.drain import InFlight
from checkout_audit.errors import Unreachable
from checkout_audit.render import show
from checkout_audit.report import Report
from checkout_audit.target import Target


def main(environ: Mapping[str, str]) -> int:
    """Audit, print the report, and return the exit status."""
    try:
        as_json = _format(environ) == "json"
        history = read_history(Path(environ["HISTORY"])) if environ.get("HISTORY") else None
        options = AuditOptions(history, since=_since(environ))
        target, wait = Target.from_environment(environ), _wait(environ)
    except (Unreachable, BadHistory, ValueError) as error:
        return _without_verdict(str(error))
    try:
        report = asyncio.run(_with_progress(target, options, wait))
    except Unreachable as error:
        return _without_verdict(str(error))
    except Exception as error:
        traceback.print_exc()
        return _without_verdict(f"the audit itself failed ({type(error).__name__}): no verdict; please report this")
    if as_json:
        print(json.dumps(report.document(), indent=1))
    else:
        show(report, Console(width=None if sys.stdout.isatty() else 140))
    return 0 if report.consistent else 1


def _without_verdict(reason: str) -> int:
    print(" ".join(reason.split()), file=sys.stderr)
    return 2


async def _with_progress(target: Target, options: AuditOptions, wait: float) -> Report:
    """Audit, and show progress on standard error if that is a terminal."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("waiting until nothing is in flight", total=None)

        def on_wait(in_flight: InFlight) -> None:
            progress.update(task, description=f"waiting: {in_flight}" if in_flight else "nothing is in flight")

        def on_slice(done: int, total: int) -> None:
            progress.update(task, description="reading and judging", completed=done, total=total)

        return await examine(target, options, wait, on_wait, on_slice)


def _wait(environ: Mapping[str, str]) -> float:
    raw = environ.get("AUDIT_WAIT") or str(WAIT)
    try:
        seconds = float(raw)
    except ValueError:
        seconds = -1.0
    if not isfinite(seconds) or seconds < 0:
        raise ValueError(f"AUDIT_WAIT={raw} is not valid: expected a number of seconds, 0 or more")
    return seconds


def _since(environ: Mapping[str, str]) -> datetime | None:
    if not (raw := environ.get("SINCE")):
        return None
    try:
        seconds = float(raw)
    except ValueError:
        with suppress(ValueError):
            moment = datetime.fromisoformat(raw)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    else:
        with suppress(ValueError, OverflowError):
            return datetime.now(UTC) - timedelta(seconds=seconds)
    raise ValueError(f"SINCE={raw} is not valid: expected seconds before now, or a time such as 2030-01-31T12:00:00Z")


def _format(environ: Mapping[str, str]) -> str:
    chosen = (environ.get("FORMAT") or "table").lower()
    if chosen not in ("table", "json"):
        raise ValueError(f"FORMAT={chosen} is not valid: expected one of table, json")
    return chosen


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # a slice is many small values that are freed together
    sys.exit(main(os.environ))

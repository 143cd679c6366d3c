"""A record as two CSV files: every attempt with its figures, and every headline figure with its interval."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.bench.record import Record, Run
from loadtests.bench.summary import HEADLINE, net_cpu, summarize


def write_csv(record: Record, folder: Path) -> None:
    """Write runs.csv and headline.csv."""
    _write(folder / "runs.csv", runs(record))
    _write(folder / "headline.csv", headline(record))


def runs(record: Record) -> list[dict[str, Any]]:
    """A row for each attempt; those that were discarded have a reason."""
    kept = [_row(run, "") for run in record.runs]
    return kept + [_row(one.run, one.reason) for one in record.discarded]


def headline(record: Record) -> list[dict[str, Any]]:
    """A row for each headline figure of each mode and rate."""
    return [
        {"mode": one.mode, "offered": one.offered, "figure": name, "runs": one.runs}
        | {part: getattr(getattr(one, name), part) for part in ("median", "low", "high")}
        for one in summarize(record)
        for name in HEADLINE
    ]


def _row(run: Run, discarded: str) -> dict[str, Any]:
    seen, door, log = run.seen, run.door, run.log
    used = net_cpu(run) if run.orders else {}
    return {
        "mode": run.mode,
        "part": run.part,
        "offered": run.offered,
        "run": run.number,
        "discarded": discarded,
        "steal_percent": run.disturbance.steal if run.disturbance else "",
        "foreign_percent": run.disturbance.foreign if run.disturbance else "",
        "placed": seen.placed,
        "timed_out": seen.timed_out,
        "failed": seen.failed,
        "completed_per_second": seen.rate,
        "p50_ms": seen.p50,
        "p95_ms": seen.p95,
        "p99_ms": seen.p99,
        "orders": run.orders,
        "transactions": door.transactions,
        "commands": door.commands,
        "door_seconds": door.seconds,
        "messages": door.messages,
        "message_bytes": door.message_bytes,
        "writes": log.writes,
        "wal_bytes": log.wal_bytes,
        "drained": run.drained,
        "consistent": run.consistent,
        **run.figures,
        **{f"cpu_ms_per_order_{name}": round(used[name], 3) for name in sorted(used)},
    }


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that need not have the same columns: a carrier's processes are only in the rows of its modes."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)

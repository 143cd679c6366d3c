"""`python -m loadtests.bench.capacity FILE`: the capacity needed for 1,000, 10,000 and 100,000 checkouts/s.

It is computed from a summary and the assumptions below. The model is linear, so an upper bound: costs were measured at
the rate of the bench, and fall where larger batches form. A bench at a higher RATE gives a closer bound.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

from loadtests.bench.storage import BadRecord, read
from loadtests.bench.summary import Service, Summary, summarize
from loadtests.bench.tables import Table, figure

SIZES: Final = (1_000, 10_000, 100_000)
"""Checkouts a second."""
USE: Final = 0.6
"""The planned utilization of cores and disks: the rest is for peaks and failures."""
INSTANCE_CORES: Final = 16
"""Cores of one database server."""
LOG_SYNCS: Final = 2_000
"""Log syncs a second that the disk of one database server can do: half a millisecond each. Assumed."""
COMMITS_PER_SYNC: Final = 4
"""Transactions of different processes that PostgreSQL commits with one sync when that many wait. Assumed."""
CROSSINGS: Final = 2
"""How often a message crosses the network: to the carrier and from it, without copies between brokers."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one mode needs at one rate. `network` and `wal` in bytes/s; `instances` of each service's database."""

    rate: int
    service_cores: float
    processes: int
    database_cores: float
    carrier_cores: float
    instances: dict[str, int]
    messages: float
    network: float
    wal: float

    @property
    def cells(self) -> int:
        """How many parts that share nothing are needed, if each database in each part is one server."""
        return max(self.instances.values())


def need(summary: Summary, rate: int) -> Need:
    """Compute the need at `rate` checkouts a second: proportional to it, except for the log syncs (see `commits`)."""
    return Need(
        rate=rate,
        service_cores=_cores(summary.services.median, rate),
        processes=max(processes(part, rate) for part in summary.parts.values()),
        database_cores=_cores(summary.databases.median, rate),
        carrier_cores=_cores(summary.carrier.median, rate),
        instances={name: instances(part, rate) for name, part in summary.parts.items()},
        messages=rate * summary.messages.median,
        network=rate * summary.message_bytes.median * CROSSINGS,
        wal=rate * max(part.wal_bytes for part in summary.parts.values()),
    )


def processes(part: Service, rate: float) -> int:
    """Processes of a service, one for each core that it needs; as many partitions are needed, where there are any."""
    return max(1, _up(_cores(part.cpu, rate)))


def commits(part: Service, rate: float) -> float:
    """Writing transactions a second at a service's database.

    A process has one transaction open at a time, and takes commands that arrive meanwhile into the next: however many
    commands arrive, a process has no more transactions than fit into a second one after the other.
    """
    paced = processes(part, rate) / part.seconds if part.seconds else float("inf")
    doors = rate * part.transactions
    return rate * part.writes * min(1.0, paced / doors) if doors else rate * part.writes


def instances(part: Service, rate: float) -> int:
    """Servers that a service's database must be spread over, by CPU or by log syncs, whichever needs more."""
    by_cpu = _cores(part.database_cpu, rate) / INSTANCE_CORES
    by_log = commits(part, rate) / (LOG_SYNCS * min(COMMITS_PER_SYNC, processes(part, rate)) * USE)
    return max(1, _up(by_cpu), _up(by_log))


def tables(summaries: Sequence[Summary]) -> list[Table]:
    """One table for each of SIZES."""
    head = [
        "mode",
        "cores: services",
        "processes of the busiest service",
        "cores: databases",
        "database servers: order / payment / inventory / shipping",
        "cells",
        "messages/s",
        "messages, MB/s",
        "largest log, MB/s",
        "cores: carrier, as measured",
    ]
    return [
        Table(f"{rate:,} checkouts/s", head, [_row(summary.label, need(summary, rate)) for summary in summaries])
        for rate in SIZES
    ]


def markdown(summaries: Sequence[Summary]) -> str:
    """All tables with their titles, as Markdown."""
    return "\n\n".join(f"**{table.title}**\n\n{table.markdown()}" for table in tables(summaries))


def _cores(milliseconds: float, rate: float) -> float:
    return rate * milliseconds / 1000 / USE


def _row(label: str, needed: Need) -> list[str]:
    return [
        f"`{label}`",
        _whole(needed.service_cores),
        _whole(needed.processes),
        _whole(needed.database_cores),
        " / ".join(map(_whole, needed.instances.values())),
        _whole(needed.cells),
        _whole(needed.messages),
        figure(needed.network / 1e6),
        figure(needed.wal / 1e6),
        _whole(needed.carrier_cores),
    ]


def _up(value: float) -> int:
    """Round up, except for an excess of a billionth, which is a rounding error."""
    return ceil(value - 1e-9)


def _whole(value: float) -> str:
    return f"{_up(value):,}"


def main(arguments: Sequence[str]) -> int:
    """Print the tables; returns the exit status, 2 if the file is no record of a bench."""
    if len(arguments) != 1:
        print("usage: python -m loadtests.bench.capacity FILE (the raw.json of a bench)", file=sys.stderr)
        return 2
    try:
        print(markdown(summarize(read(Path(arguments[0])))))
    except BadRecord as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

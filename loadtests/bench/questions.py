"""A record as a table for each question beyond the steady load, from saturation to the peers. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from loadtests.bench.parts import BACKLOG, COLD_START, DEAD_SERVICE, FLOOR, PARTS, PEER, SATURATION
from loadtests.bench.peers.names import PEERS
from loadtests.bench.record import Record, Run
from loadtests.bench.summary import Spread, Summary, net_cpu, of_values, spread, summarize, summed
from loadtests.bench.tables import Table, figure, ranged
from loadtests.bench.tables import latency as milliseconds
from sagakit.modes import MODES

MIXES: Final = ("failing-1", "failing-10", "slow-provider", DEAD_SERVICE)
EMULATED: Final[Mapping[str, str]] = {
    "temporal": "a development server",
    "sns_sqs": "an emulator",
    "pubsub": "an emulator",
}
"""Carriers that are not what runs in production: throughput over them says little about the real service."""
FLAG: Final = " (emulated)"


def flagged(mode: str) -> str:
    """The name of a mode in a table, with a flag if its carrier is emulated."""
    return f"`{mode}`{FLAG if mode in MODES and MODES[mode].substrate in EMULATED else ''}"


def of_part(record: Record, part: str) -> dict[str, list[Run]]:
    """The runs of a part by mode, in the order of the plan; modes without one are left out."""
    order = (*record.plan.modes, *record.plan.peers)
    runs = {mode: [run for run in record.runs if (run.mode, run.part) == (mode, part)] for mode in order}
    return {mode: found for mode, found in runs.items() if found}


def highest(runs: Sequence[Run]) -> Spread:
    """The highest rate that held, over the searches of a mode."""
    return of_values([run.figures["saturation"] for run in runs])


def saturation(record: Record) -> Table:
    """Which rate holds: p99 under the objective, every order completed, drained, and the audit clean; and the floor."""
    head = ["mode", "runs", "orders/s", "of the floor", "p50 ms there", "p99 ms there", "CPU ms there", "audit clean"]
    floors = of_part(record, FLOOR)
    least = max((_checkouts(runs).median for runs in floors.values()), default=0.0)
    rows = [
        [
            flagged(mode),
            str(len(runs)),
            ranged(highest(runs)),
            figure(highest(runs).median / least) if least else "",
            *(ranged(spread(runs, of), milliseconds) for of in (_p50, _p99)),
            ranged(spread(runs, _cpu)),
            _clean(runs),
        ]
        for mode, runs in of_part(record, SATURATION).items()
    ]
    rows += [
        [
            f"`{name}`: {PEERS[name]}",
            str(len(runs)),
            ranged(_checkouts(runs)),
            *("", "", ""),
            ranged(spread(runs, _cpu)),
            _clean(runs),
        ]
        for name, runs in floors.items()
    ]
    return Table(f"The highest rate with p99 under {record.plan.objective:g} ms", head, rows)


def mixes(record: Record) -> Table:
    """What refusals, a slow provider and a dead service do to a load."""
    head = [
        "mode",
        "mix",
        "orders",
        "timed out",
        "wrong end",
        "p50 ms",
        "p99 ms",
        "CPU ms",
        "recovery s",
        "audit clean",
    ]
    rows = [
        [
            flagged(mode),
            PARTS[part].what,
            f"{sum(run.seen.placed for run in runs):,}",
            f"{sum(run.seen.timed_out for run in runs):,}",
            f"{sum(run.seen.failed for run in runs):,}",
            *(ranged(spread(runs, of), milliseconds) for of in (_p50, _p99)),
            ranged(spread(runs, _cpu)),
            _figures(runs, "recovery_seconds") if part == DEAD_SERVICE else "",
            _clean(runs),
        ]
        for part in MIXES
        for mode, runs in of_part(record, part).items()
    ]
    return Table("Mixes and faults at one rate", head, rows)


def kills(record: Record) -> Table:
    """How long a killed service takes to recover, as the chaos runner measured it."""
    head = ["mode", "service", "kills", "first accepted s", "first completed s", "all settled s"]
    cells = dict.fromkeys((kill.mode, kill.service) for kill in record.kills)
    rows = []
    for mode, service in cells:
        of = [kill for kill in record.kills if (kill.mode, kill.service) == (mode, service)]
        times = ([getattr(kill, name) for kill in of] for name in ("accepted", "completed", "settled"))
        rows.append([flagged(mode), service, str(len(of)), *(ranged(of_values(values)) for values in times)])
    return Table("Recovery from a kill", head, rows)


def backlogs(record: Record) -> Table:
    """How fast orders are done that waited while no participant ran."""
    head = ["mode", "orders", "drained in s", "orders/s", "CPU ms", "all drained", "audit clean"]
    rows = [
        [
            flagged(mode),
            _figures(runs, "backlog_orders"),
            _figures(runs, "drain_seconds"),
            _figures(runs, "drained_per_second"),
            ranged(spread(runs, _cpu)),
            "yes" if all(run.drained for run in runs) else "NO",
            _clean(runs),
        ]
        for mode, runs in of_part(record, BACKLOG).items()
    ]
    return Table("A backlog", head, rows)


def cold_starts(record: Record) -> Table:
    """How long a start from nothing takes."""
    head = ["mode", "starts", "ready after s", "first order completed after s"]
    rows = [
        [flagged(mode), str(len(runs)), _figures(runs, "ready_seconds"), _figures(runs, "first_order_seconds")]
        for mode, runs in of_part(record, COLD_START).items()
    ]
    return Table("A cold start", head, rows)


def peer_summaries(record: Record) -> list[Summary]:
    """The peers in whose runs orders completed."""
    found = {mode: [run for run in runs if run.orders] for mode, runs in of_part(record, PEER).items()}
    return [summed(record.plan, mode, record.plan.middle, runs) for mode, runs in found.items() if runs]


def peers(record: Record) -> Table:
    """The peers and, at the same rate, the modes."""
    rate = record.plan.middle
    head = ["system", "orders", "timed out", "failed", "p50 ms", "p99 ms", "CPU ms", "writes", "log bytes", "sound"]
    beside = [one for one in summarize(record) if one.offered == rate]
    rows = [
        [
            f"{one.mode}: {PEERS[one.mode]}" if one.mode in PEERS else flagged(one.mode),
            *(f"{count:,}" for count in (one.placed, one.timed_out, one.failed)),
            *(ranged(of, milliseconds) for of in (one.p50, one.p99)),
            *(ranged(of) for of in (one.cpu, one.writes)),
            figure(one.wal_bytes.median),
            "yes" if one.consistent else "NO",
        ]
        for one in [*peer_summaries(record), *beside]
    ]
    return Table(f"The same work by other means, at {rate:g} orders/s", head, rows if of_part(record, PEER) else [])


TABLES: Final[Sequence[Callable[[Record], Table]]] = (saturation, mixes, kills, backlogs, cold_starts, peers)


def tables(record: Record) -> list[Table]:
    """The tables of all questions that the bench asked."""
    return [table for table in (of(record) for of in TABLES) if table.rows]


def _checkouts(runs: Sequence[Run]) -> Spread:
    return spread(runs, lambda run: run.figures["checkouts_per_second"])


def _cpu(run: Run) -> float:
    return sum(net_cpu(run).values()) if run.orders else 0.0


def _p50(run: Run) -> float:
    return run.seen.p50


def _p99(run: Run) -> float:
    return run.seen.p99


def _clean(runs: Sequence[Run]) -> str:
    return "yes" if all(run.consistent for run in runs) else "NO"


def _figures(runs: Sequence[Run], name: str) -> str:
    return ranged(spread(runs, lambda run: run.figures[name]))

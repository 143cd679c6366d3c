"""A record as tables for people, and as the page report.md. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from loadtests.bench import capacity
from loadtests.bench.record import Record
from loadtests.bench.summary import Summary, summarize
from loadtests.bench.tables import Table, figure, ranged
from quartet_stack.settings import SERVICES

CARRIERS: Final[Mapping[str, str]] = {
    "temporal": "Temporal's development server",
    "kafka": "Kafka",
    "sns_sqs": "MiniStack, an emulator",
    "pubsub": "Google's Pub/Sub emulator",
}
GIGABYTE: Final = 1e9


def about(record: Record) -> str:
    """Describe in a sentence or two where and when it was measured, and with which settings."""
    machine, plan = record.machine, record.plan
    return (
        f"{record.began[:10]}, commit `{record.commit}`: {machine.cores} cores ({machine.cpu}), "
        f"{machine.memory / GIGABYTE:.0f} GB, Python {machine.python}, PostgreSQL {machine.postgresql}; "
        f"all of it, with the load generator, on this one machine. {plan.runs} "
        f"{'run' if plan.runs == 1 else 'interleaved runs'} of each mode: "
        f"{plan.rate:g} good orders/s (Poisson) for {plan.duration:g} s after {plan.warmup:g} s of warm-up, "
        f"`PROVIDERS={plan.providers}`, seed {plan.seed}."
    )


def cpu(summaries: Sequence[Summary]) -> Table:
    """The table of CPU per completed order, by process."""
    head = ["mode", "all", *SERVICES, "databases", "carrier", "provider", "idle, % of a core"]
    rows = [
        [
            f"`{one.mode}`",
            ranged(one.cpu),
            *(figure(one.parts[name].cpu) for name in SERVICES),
            figure(one.databases.median),
            figure(one.carrier.median),
            figure(one.provider.median),
            figure(one.idle.median),
        ]
        for one in summaries
    ]
    return Table("CPU ms per completed order", head, rows)


def work(summaries: Sequence[Summary]) -> Table:
    """The table of transactions, messages and log bytes per completed order."""
    head = [
        "mode",
        "transactions at the doors",
        "commands in each",
        "messages",
        "message bytes",
        "writing transactions",
        "log bytes",
    ]
    rows = [
        [
            f"`{one.mode}`",
            *map(ranged, (one.transactions, one.batch, one.messages)),
            figure(one.message_bytes.median),
            ranged(one.writes),
            figure(one.wal_bytes.median),
        ]
        for one in summaries
    ]
    return Table("Work per completed order", head, rows)


def latency(summaries: Sequence[Summary]) -> Table:
    """The table of outcomes and latency of good orders, as clients saw them."""
    head = ["mode", "orders", "failed", "orders/s", "p50 ms", "p95 ms", "p99 ms", "audit clean"]
    rows = [
        [
            f"`{one.mode}`",
            f"{one.orders:,}",
            f"{one.failed:,}",
            *map(ranged, (one.rate, one.p50, one.p95, one.p99)),
            "yes" if one.consistent else "NO",
        ]
        for one in summaries
    ]
    return Table("Good orders, from request to COMPLETED", head, rows)


def first(summaries: Sequence[Summary], cores: int) -> Table:
    """The table of which part saturates first."""
    head = [
        "mode",
        "largest part of the CPU",
        "its share",
        "busiest process of ours",
        "full at, orders/s",
        f"{cores} cores full at, orders/s",
    ]
    return Table("What is busy first", head, [_first(one, cores) for one in summaries])


def _first(one: Summary, cores: int) -> list[str]:
    parts = {
        "the four services": one.services.median,
        "the four databases": one.databases.median,
        f"the carrier ({CARRIERS[one.substrate]})": one.carrier.median,
        "the provider sandbox": one.provider.median,
    }
    largest = max(parts, key=lambda name: parts[name])
    busiest = one.parts[one.busiest].cpu
    return [
        f"`{one.mode}`",
        largest,
        f"{parts[largest] / sum(parts.values()):.0%}" if parts[largest] else "–",
        one.busiest,
        _full(1, busiest),
        _full(cores, one.cpu.median),
    ]


def _full(cores: int, milliseconds: float) -> str:
    """Orders/s with two digits: it is no more precise than that."""
    return f"{float(f'{cores * 1000 / milliseconds:.2g}'):,g}" if milliseconds else "–"


def tables(record: Record) -> list[Table]:
    """All tables of a record."""
    summaries = summarize(record)
    return [cpu(summaries), work(summaries), latency(summaries), first(summaries, record.machine.cores)]


def page(record: Record) -> str:
    """The text of report.md."""
    parts = ["# The modes, measured", about(record)]
    for table in tables(record):
        parts += [f"## {table.title}", table.markdown()]
    notes = (
        "Medians over the runs, with their 95 % interval in brackets (percentile bootstrap; of up to five runs, their "
        "range). What the stack uses without an order is subtracted from the CPU. "
        "Writing transactions are those of all four databases, each of which syncs a log; message bytes are those of "
        "the bodies that the outboxes handed to the carrier. Figures compare within one bench, not with those "
        "of another machine."
    )
    return "\n\n".join([*parts, notes, "## Capacity", capacity.markdown(summarize(record))]) + "\n"

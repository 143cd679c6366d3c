"""A record as tables for people, and as the page report.md. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from loadtests.bench import capacity, questions
from loadtests.bench.parts import STEADY
from loadtests.bench.record import Record
from loadtests.bench.summary import HEADLINE, Summary, confidence, summarize
from loadtests.bench.tables import Table, figure, ranged
from loadtests.bench.tables import latency as milliseconds
from quartet_stack.settings import SERVICES

CARRIERS: Final[Mapping[str, str]] = {
    "temporal": "Temporal's development server",
    "kafka": "Kafka",
    "sns_sqs": "MiniStack, an emulator",
    "pubsub": "Google's Pub/Sub emulator",
}
KEEPS: Final[Mapping[str, str]] = {
    "temporal": "in SQLite, which syncs at checkpoints (`synchronous=NORMAL`)",
    "kafka": "in a log of one broker (`acks=all`), which the operating system writes to disk later",
    "sns_sqs": "in memory",
    "pubsub": "in memory",
}
"""How durable a carrier's messages are, which is not the same in all modes. No order is lost with them."""
GIGABYTE: Final = 1e9


def about(record: Record) -> str:
    """Describe in a sentence or two where and when it was measured, and with which settings."""
    machine, plan = record.machine, record.plan
    settle = f" and {plan.settle:g} s to settle" if plan.settle else ""
    return (
        f"{record.began[:10]}, commit `{record.commit}`: {machine.name}, "
        f"{machine.memory / GIGABYTE:.0f} GB, Python {machine.python}, PostgreSQL {machine.postgresql}; "
        f"all of it, with the load generator, on this one machine. {plan.runs} "
        f"{'run' if plan.runs == 1 else 'interleaved runs'} of each mode: "
        f"{' / '.join(f'{rate:g}' for rate in plan.rates)} good orders/s (Poisson) for {plan.duration:g} s "
        f"after {plan.warmup:g} s of warm-up{settle}, "
        f"`PROVIDERS={plan.providers}`, seed {plan.seed}."
    )


def headline(summaries: Sequence[Summary]) -> Table:
    """The table that is read first: what became of the orders, and each figure with its interval."""
    head = ["mode", "runs", "disturbed", "orders", "timed out", "failed", *HEADLINE.values(), "audit clean"]
    rows = [
        [
            f"`{one.label}`",
            *(f"{count:,}" for count in (one.runs, one.disturbed, one.placed, one.timed_out, one.failed)),
            *(ranged(getattr(one, name), milliseconds if name in ("p50", "p99") else figure) for name in HEADLINE),
            "yes" if one.consistent else "NO",
        ]
        for one in summaries
    ]
    return Table("The modes at the same load", head, rows)


def cpu(summaries: Sequence[Summary]) -> Table:
    """The table of CPU per completed order, by process."""
    head = ["mode", "all", *SERVICES, "databases", "carrier", "provider", "idle, % of a core"]
    rows = [
        [
            f"`{one.label}`",
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
            f"`{one.label}`",
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
    head = ["mode", "orders", "timed out", "failed", "orders/s", "p50 ms", "p95 ms", "p99 ms", "audit clean"]
    rows = [
        [
            f"`{one.label}`",
            f"{one.placed:,}",
            f"{one.timed_out:,}",
            f"{one.failed:,}",
            ranged(one.rate),
            *(ranged(spread, milliseconds) for spread in (one.p50, one.p95, one.p99)),
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
        f"`{one.label}`",
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
    """All tables of figures, the headline first."""
    summaries = summarize(record)
    absent = missing(record)
    return [
        headline(summaries),
        *([absent] if absent.rows else []),
        cpu(summaries),
        work(summaries),
        latency(summaries),
        first(summaries, record.machine.cores),
    ]


def settings(record: Record) -> Table:
    """The table of the settings that all modes have in common, as the running stacks told them."""
    steady = [run for run in record.runs if run.part == STEADY]
    names = dict.fromkeys(name for run in steady for name in run.settings)
    values = {name: sorted({run.settings.get(name, "unknown") for run in steady}) for name in names}
    return Table(
        "Settings in all modes", ["setting", "value"], [[f"`{name}`", ", ".join(values[name])] for name in names]
    )


def carriers(summaries: Sequence[Summary]) -> Table:
    """The table of what differs between the modes: where the carrier keeps messages."""
    used = dict.fromkeys(one.substrate for one in summaries)
    return Table("Carriers", ["carrier", "keeps messages"], [[CARRIERS[name], KEEPS[name]] for name in used])


def discarded(record: Record) -> Table:
    """The table of the runs that were repeated."""
    head = ["run", "completed/s", "p50 ms", "p99 ms", "why it was repeated"]
    rows = [
        [
            str(run),
            figure(run.seen.rate),
            milliseconds(run.seen.p50),
            milliseconds(run.seen.p99),
            reason,
        ]
        for run, reason in ((one.run, one.reason) for one in record.discarded)
    ]
    return Table("Discarded runs", head, rows)


def missing(record: Record) -> Table:
    """The table of the modes and peers without a figure, because this machine lacks what they need."""
    return Table("Not measured", ["mode or peer", "why"], [[f"`{name}`", why] for name, why in record.missing.items()])


def method(record: Record) -> str:
    """Say how the figures were made, and how sure their intervals are."""
    plan = record.plan
    return (
        "Each round visits every mode once, in an order that the seed draws, and measures it at every rate; the stack "
        "is started and warmed up once for a visit. Figures are medians over the "
        f"runs; in brackets their interval by a percentile bootstrap over runs. With {plan.runs} "
        f"{'run' if plan.runs == 1 else 'runs'} of each, the interval holds the true median with a confidence of "
        f"{confidence(plan.runs):.0%} (of five runs and fewer it is their range). Completed orders a second and "
        "latency are those of the orders that arrived in the steady window; an order that timed out or failed counts "
        "as slower than all others, and a quantile that falls on one reads `late`. CPU and work are per completed "
        "order, over the whole load until the stack has drained; what the stack uses without an order is subtracted. "
        f"A run is repeated, twice at most, if the host took more than {plan.steal_max:g} % of the machine's CPU or "
        f"other programs used more than {plan.foreign_max:g} %; if the third is disturbed as well, it counts, and the "
        "headline says so. Writes are writing transactions of all four databases, each of which syncs a log; message "
        "bytes are those of the bodies that the outboxes handed to the carrier. Figures compare within one bench, not "
        "with those of another machine."
    )


def page(record: Record, findings: Sequence[str]) -> str:
    """The text of report.md; `findings` are those of the bench's own checks."""
    parts = ["# The modes, measured", about(record), f"Made by `{record.command}`.", method(record)]
    parts += ["## Checks", "\n".join(f"- {one}" for one in findings) or "Nothing was found."]
    for table in (
        *tables(record),
        *questions.tables(record),
        settings(record),
        carriers(summarize(record)),
        discarded(record),
    ):
        parts += [f"## {table.title}", table.markdown() if table.rows else "None."]
    return "\n\n".join([*parts, "## Capacity", capacity.markdown(summarize(record))]) + "\n"

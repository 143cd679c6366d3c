"""A bench with figures that are easy to check by hand."""

from dataclasses import replace
from typing import Any

from loadtests.bench.plan import BenchPlan
from loadtests.bench.record import VERSION, Disturbance, Door, Log, Machine, Record, Run, Seen, Usage
from quartet_stack.settings import SERVICES

KAFKA = "kafka-choreography"
PLAN = BenchPlan(
    modes=(KAFKA,),
    runs=3,
    rates=(5.0,),
    duration=20,
    warmup=5,
    settle=2,
    idle=5.0,
    providers="instant",
    seed=1,
    steal_max=2.0,
    foreign_max=10.0,
)
BEGAN = "2026-01-02T03:04:05+00:00"
MACHINE = Machine(2, "a processor", 24_000_000_000, "3.11.7", "15.18")
PROGRAMS = (*SERVICES, *(f"{name}-db" for name in SERVICES), "kafka")


def run(**changes: Any) -> Run:
    """100 orders in 20 s; every program used 300 ms, of which 100 ms it would have used when idle: 2 ms an order.

    Each service had 200 transactions of 2 ms with 300 commands, and sent 250 messages of 500 bytes; each database had
    300 transactions that wrote, and wrote 400,000 bytes.
    """
    good = Run(
        mode=KAFKA,
        number=1,
        offered=5.0,
        orders=100,
        seen=Seen(100, 0, 0, 5.0, 20.0, 40.0, 60.0),
        idle=Usage(5.0, dict.fromkeys(PROGRAMS, 25.0)),
        load=Usage(20.0, dict.fromkeys(PROGRAMS, 300.0)),
        doors=dict.fromkeys(SERVICES, Door(200, 300, 0.4, 250, 125_000)),
        logs=dict.fromkeys(SERVICES, Log(400_000, 300)),
        drained=True,
        consistent=True,
        disturbance=Disturbance(0.5, 4.0),
        settings={"RETRY_MAX": "5", "fsync": "on"},
    )
    return replace(good, **changes)


def record(*runs: Run) -> Record:
    return Record(VERSION, BEGAN, "0123456789ab", "make bench MODES=kafka", MACHINE, PLAN, runs or (run(),), ())


def mode(name: str, *, latency: float = 20.0, door: float = 2.0, **changes: Any) -> tuple[Run, ...]:
    """Three runs of a mode, that differ by a tenth; `latency` and `door`, the time of one transaction, in ms."""
    seen, transactions = run().seen, 200
    return tuple(
        run(
            mode=name,
            number=number,
            seen=replace(seen, p50=latency * size, p95=2 * latency * size, p99=3 * latency * size),
            doors=dict.fromkeys(SERVICES, Door(transactions, 300, transactions * door * size / 1000, 250, 125_000)),
            **changes,
        )
        for number, size in enumerate((0.95, 1.0, 1.05), 1)
    )


def bench(*runs: Run) -> Record:
    """A whole bench of the modes of these runs, three of each."""
    modes = tuple(dict.fromkeys(one.mode for one in runs))
    return replace(record(*runs), plan=replace(PLAN, modes=modes))

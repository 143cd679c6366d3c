"""A bench with figures that are easy to check by hand."""

from dataclasses import replace
from typing import Any

from loadtests.bench.plan import BenchPlan
from loadtests.bench.record import VERSION, Door, Log, Machine, Record, Run, Seen, Usage
from quartet_stack.settings import SERVICES

KAFKA = "kafka-choreography"
PLAN = BenchPlan((KAFKA,), 3, 5.0, 20, 5, 5.0, "instant", 1)
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
        orders=100,
        seen=Seen(100, 0, 5.0, 20.0, 40.0, 60.0),
        idle=Usage(5.0, dict.fromkeys(PROGRAMS, 25.0)),
        load=Usage(20.0, dict.fromkeys(PROGRAMS, 300.0)),
        doors=dict.fromkeys(SERVICES, Door(200, 300, 0.4, 250, 125_000)),
        logs=dict.fromkeys(SERVICES, Log(400_000, 300)),
        drained=True,
        consistent=True,
    )
    return replace(good, **changes)


def record(*runs: Run) -> Record:
    return Record(VERSION, "2026-01-02T03:04:05+00:00", "0123456789ab", MACHINE, PLAN, runs or (run(),))

"""A bench with figures that are easy to check by hand."""

from dataclasses import replace
from typing import Any

from loadtests.bench.parts import PARTS
from loadtests.bench.peers.names import PEERS
from loadtests.bench.plan import BenchPlan
from loadtests.bench.record import VERSION, Disturbance, Door, Kill, Log, Machine, Record, Run, Seen, Step, Usage
from loadtests.bench.turns import Turn
from quartet_stack.settings import SERVICES
from sagakit.modes import MODES

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


def every_part(**changes: Any) -> Record:
    """A bench of all modes with every part and peer, in which the modes differ in a way that is easy to see."""
    plan = replace(PLAN, modes=tuple(MODES), rates=(2.0, 5.0, 8.0), parts=tuple(PARTS), peers=tuple(PEERS))
    return replace(record(*(_of_turn(plan, turn) for turn in plan.turns())), plan=plan, kills=KILLS, **changes)


KILLS = tuple(Kill(KAFKA, name, number, 0.5 * number, number, 2.0 * number) for name in SERVICES for number in (1, 2))


def _of_turn(plan: BenchPlan, turn: Turn) -> Run:
    """A run whose latency grows with the rate, and whose limit is 40 orders/s times the place of its mode."""
    place = 1 + [*plan.modes, *plan.peers].index(turn.mode)
    slow = (1 + turn.rate / 10) * (1 + turn.number / 20) * place

    def seen(factor: float) -> Seen:
        return Seen(100, 0, 0, turn.rate, 20 * factor, 40 * factor, 60 * factor)

    figures = {
        "saturation": {"saturation": 40.0 * place},
        "cold-start": {"ready_seconds": 8.0 + place, "first_order_seconds": 9.0 + place},
        "dead-service": {"recovery_seconds": 1.5 * place},
        "floor": {"checkouts_per_second": 2000.0},
        "backlog": {"backlog_orders": 10_000.0, "drain_seconds": 10.0 * place, "drained_per_second": 1000.0 / place},
    }.get(turn.part, {})
    steps = [Step(rate * place, seen(rate / 8 * place), rate <= 40) for rate in (10.0, 26.0, 40.0, 64.0)]
    return run(
        mode=turn.mode,
        number=turn.number,
        offered=turn.rate,
        part=turn.part,
        seen=seen(slow),
        figures=figures,
        steps=tuple(steps) if turn.part == "saturation" else (),
        load=Usage(20.0, dict.fromkeys(PROGRAMS, 200.0 + 100.0 * place)),
    )

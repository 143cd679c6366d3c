"""From samples and times to milliseconds for an order. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

from loadtests.breakdown.kinds import OTHER
from loadtests.breakdown.record import GENERATOR, Inside, Load, Measured, SampledThread
from quartet_stack.settings import SERVICES

CARRIERS: Final = ("kafka", "ministack", "pubsub", "temporal")
DATABASES: Final = "databases"
CARRIER: Final = "carrier"
REST: Final = "other programs"
PROCESSES: Final = (*SERVICES, DATABASES, CARRIER, GENERATOR, REST)
MOST_OTHER: Final = 0.15
"""Of the CPU time of the four services."""


def process_of(program: str) -> str:
    """The process by which a program of the stack is reported."""
    if program.endswith(("-db", "-standby")):
        return DATABASES
    name = program.partition("-")[0]
    if name in SERVICES or name == GENERATOR:
        return name
    return CARRIER if name in CARRIERS else REST


def by_process(load: Load) -> Mapping[str, float]:
    """CPU milliseconds for an order of each process."""
    spent = dict.fromkeys(PROCESSES, 0.0)
    for program, milliseconds in load.cpu_ms.items():
        spent[process_of(program)] += milliseconds / load.completed
    return spent


def by_kind_of(thread: SampledThread) -> Mapping[str, float]:
    """The CPU of a thread by kind, in milliseconds.

    A ready thread is sampled whether it has a core or not. Of the samples in which it waits, as many are left out as
    the time is worth in which it was ready and had none.
    """
    waiting, working = sum(thread.waiting.values()), sum(thread.working.values())
    ready = thread.sampled_cpu_ms + thread.waited_ms
    without_core = (waiting + working) * thread.waited_ms / ready if ready else 0.0
    kept = max(waiting - without_core, 0.0) / waiting if waiting else 0.0
    counts: Counter[str] = Counter(thread.working)
    weights = {kind: counts[kind] + kept * thread.waiting.get(kind, 0) for kind in {*counts, *thread.waiting}}
    if not sum(weights.values()):
        weights = {**thread.waiting} or {OTHER: 1.0}
    whole = sum(weights.values())
    return {kind: thread.cpu_ms * weight / whole for kind, weight in weights.items()}


def shares(inside: Inside) -> Mapping[str, float]:
    """The part of each kind in the CPU of a process; together 1."""
    spent: defaultdict[str, float] = defaultdict(float, inside.native_ms)
    for thread in inside.threads:
        for kind, milliseconds in by_kind_of(thread).items():
            spent[kind] += milliseconds
    whole = sum(spent.values())
    return {kind: milliseconds / whole for kind, milliseconds in spent.items()} if whole else {OTHER: 1.0}


def by_kind(measured: Measured) -> Mapping[str, Mapping[str, float]]:
    """Service -> kind -> CPU milliseconds for an order."""
    spent: dict[str, defaultdict[str, float]] = {name: defaultdict(float) for name in SERVICES}
    for program, inside in measured.inside.items():
        each = measured.plain.cpu_ms[program] / measured.plain.completed
        for kind, part in shares(inside).items():
            spent[process_of(program)][kind] += part * each
    return spent


def samples(measured: Measured, service: str) -> int:
    """How many samples say what a service does; those in which it waits are left out."""
    return sum(
        sum(thread.working.values())
        for program, inside in measured.inside.items()
        if process_of(program) == service
        for thread in inside.threads
    )


def together(measured: Measured) -> Mapping[str, float]:
    """Kind -> CPU milliseconds for an order in all four services."""
    spent: defaultdict[str, float] = defaultdict(float)
    for kinds in by_kind(measured).values():
        for kind, milliseconds in kinds.items():
            spent[kind] += milliseconds
    return spent


def other_part(measured: Measured) -> float:
    """The part of the services' CPU that has no kind."""
    spent = together(measured)
    return spent.get(OTHER, 0.0) / sum(spent.values())


def by_statement(measured: Measured) -> Mapping[str, float]:
    """Group of statements -> its share of the databases' CPU milliseconds for an order."""
    whole = sum(measured.statements.values())
    databases = by_process(measured.plain)[DATABASES]
    return {name: databases * seconds / whole for name, seconds in measured.statements.items()} if whole else {}

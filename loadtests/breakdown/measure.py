"""Measures a mode on a running stack: a load, the same load with samplers, the audit, and the floors."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from typing import Final

import httpx
import uvloop

from loadtests.auditing import audited
from loadtests.bench.measure import Stopwatch
from loadtests.bench.record import Disturbance
from loadtests.breakdown.floors import carrier_floor, database_floor
from loadtests.breakdown.groups import grouped
from loadtests.breakdown.kinds import OTHER, Samples, counted, native_kind
from loadtests.breakdown.record import GENERATOR, Floor, Inside, Load, Measured, SampledThread
from loadtests.breakdown.threads import Thread, Threads
from loadtests.buyers import Buyers
from loadtests.overload import Overload, Phase
from loadtests.readiness import EVERY, TIMEOUT, urls
from loadtests.sampling import PY_SPY, Sampler, failures, samplers, services
from loadtests.statements import Database, counting
from quartet_stack.errors import StackError
from sagakit.modes import MODES

WARM_UP: Final = 4.0
READY: Final = 60.0
FLOOR_SECONDS: Final = 6.0
SAMPLES: Final = {"kafka": 50, "pubsub": 50, "sns_sqs": 50, "temporal": 25}
"""How many a second, of each service. py-spy stops every thread for each sample, and Temporal's client has forty."""
SEED: Final = 1

Say = Callable[[str], None]
"""Gets a line for each step."""


def measured(stack: Mapping[str, str], clients: int, seconds: float, folder: Path, say: Say) -> Measured:
    """Measure the running stack with this environment. Its databases are restarted, its services are not.

    Raises:
        StackError: Something is missing, or the audit is not clean.
    """
    stack_dir, sampling = stack["STACK_DIR"], list[Sampler]()
    if not PY_SPY.exists():
        raise StackError("py-spy is missing; make setup-dev installs it")
    say(f"{clients} clients for {seconds:g} s")
    plain, threads = load(stack, clients, seconds, lambda: None)
    say(f"{plain.rate:.1f} orders/s, p50 {plain.p50:.0f} ms; the same with py-spy and pg_stat_statements")
    databases, unable = counting(stack, stack_dir)
    if unable:
        raise StackError(f"the PostgreSQL of {', '.join(unable)} lacks pg_stat_statements (postgresql-contrib)")
    asyncio.run(ready(urls(stack)))

    def begin() -> None:
        asyncio.run(_reset(databases))
        rate = SAMPLES[MODES[stack["COORDINATION_MODE"]].substrate]
        options = ("--native", "--threads", "-r", str(rate), "-f", "raw")
        sampling.extend(samplers(folder, seconds, options, ".txt", stack_dir))

    sampled, while_sampled = load(stack, clients, seconds, begin)
    if failed := failures(folder, sampling):
        raise StackError(f"py-spy failed: {failed}")
    found = {
        name: inside(threads[name], while_sampled[name], counted((folder / f"{name}.txt").read_text().splitlines()))
        for name in threads
    }
    statements = grouped(one for database in databases for one in asyncio.run(database.counted()))
    say(f"{sampled.rate:.1f} orders/s; the audit")
    if not audited(stack):
        raise StackError("the audit is not clean")
    say("the floors")
    return Measured(
        clients=clients,
        plain=plain,
        sampled=sampled,
        inside=found,
        statements={name: round(spent, 4) for name, spent in statements.items()},
        carrier_floor=_floor(lambda: carrier_floor(stack, clients, FLOOR_SECONDS), say),
        database_floor=_floor(lambda: database_floor(stack, FLOOR_SECONDS, folder / "pgbench"), say),
    )


def _floor(measure: Callable[[], Floor | None], say: Say) -> Floor | None:
    """A floor, or None if it broke: what was measured of the mode counts without it."""
    try:
        return measure()
    except Exception as error:  # whatever the carrier's client raises
        say(f"no floor: {error!r}")
        return None


def load(
    stack: Mapping[str, str], clients: int, seconds: float, begin: Callable[[], None]
) -> tuple[Load, Mapping[str, Threads]]:
    """Keep the clients busy: what came of it, and what the threads of each service used. `begin` follows a warm-up."""
    stack_dir = stack["STACK_DIR"]
    processes, watch = services(stack_dir), Stopwatch(stack_dir)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        buyers = Buyers(stack["ORDER_URL"], stack["TOKEN_SIGNING_KEY"])
        with closing(buyers):
            overload = Overload(buyers, SEED)
            runner.run(overload.clients(clients, WARM_UP))
            begin()
            before = {name: Threads.read(pid) for name, pid in processes.items()}
            machine, began, own = watch.machine(), watch.read(), time.process_time()
            phase = runner.run(overload.clients(clients, seconds))
            own, used = time.process_time() - own, watch.read() - began
            disturbance = watch.machine().since(machine)
            spent = {name: Threads.read(pid).since(before[name]) for name, pid in processes.items()}
    return loaded(phase, {**used.cpu, GENERATOR: round(own * 1000, 1)}, disturbance), spent


def loaded(phase: Phase, cpu: Mapping[str, float], disturbance: Disturbance) -> Load:
    """The figures of a phase. Pure.

    Raises:
        StackError: Too few orders completed to tell anything.
    """
    took = sorted(one.seconds * 1000 for one in phase.completed)
    if len(took) < 2:
        raise StackError(f"{len(took)} orders completed, too few; other ends and answers: {dict(phase.wrong())}")
    hundredths = quantiles(took, n=100)
    return Load(
        completed=len(took),
        seconds=round(phase.seconds, 3),
        p50=round(hundredths[49], 1),
        p99=round(hundredths[98], 1),
        cpu_ms=dict(cpu),
        disturbance=disturbance,
        wrong=dict(phase.wrong()),
    )


def inside(plain: Threads, sampled: Threads, samples: Mapping[int, Samples]) -> Inside:
    """What is known of a process: its threads that run Python with their samples, and the CPU of the others. Pure.

    py-spy stops all threads for each sample, which costs those that have little to do more than their work: so CPU is
    that of the load without it. Samples of threads that run no Python are left out.

    Raises:
        StackError: The two are not the same process.
    """
    if plain.main != sampled.main:
        raise StackError(f"process {plain.main} was restarted between the two loads; has its code changed?")
    python, nothing = plain.python(), Thread("", 0.0, 0.0)
    threads, unnamed = [], Counter[str]()
    for number, thread in python.items():
        found, then = samples.get(number, Samples()), sampled.by_id.get(number, nothing)
        working, waiting = dict(found.working), dict(found.waiting)
        threads.append(SampledThread(round(thread.cpu, 2), round(then.cpu, 2), round(then.waited, 2), working, waiting))
        unnamed += found.unnamed
    native = defaultdict[str, float](float)
    for number, thread in plain.by_id.items():
        if number not in python:
            native[native_kind(thread.name)] += thread.cpu
    native[OTHER] += max(plain.cpu - sum(thread.cpu for thread in plain.by_id.values()), 0.0)  # of threads that ended
    return Inside(threads, {kind: round(cpu, 2) for kind, cpu in native.items()}, dict(unnamed.most_common(5)))


async def ready(services: Mapping[str, str]) -> None:
    """Wait until the services with these addresses are ready: they notice that their databases are back.

    Raises:
        StackError: One of them is not within READY seconds; the message names it.
    """
    until = time.monotonic() + READY
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        for name, url in services.items():
            while not await _is_ready(client, url):
                if time.monotonic() > until:
                    raise StackError(f"{name} is not ready {READY:g} s after the databases were restarted")
                await asyncio.sleep(EVERY)


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        answer = await client.get(f"{url}/health/ready")
    except httpx.TransportError:
        return False
    return answer.is_success and answer.json()["status"] == "ready"


async def _reset(databases: list[Database]) -> None:
    for database in databases:
        await database.reset()

"""A run of a peer: the same databases and Kafka as the modes, its own processes, a load, and whether all came out."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from checkout_audit.audit import AuditOptions, audit
from checkout_audit.render import show
from checkout_audit.target import Target
from loadtests.bench import processes
from loadtests.bench.disturbance import MachineTime
from loadtests.bench.measure import Reading, logs
from loadtests.bench.measure import addresses as addresses_of
from loadtests.bench.peers import temporal_postgresql
from loadtests.bench.peers.choreography import TOPICS
from loadtests.bench.peers.names import FLOORS
from loadtests.bench.peers.running import Running
from loadtests.bench.peers.servers import PYTHON, RABBITMQ, RESTATE_SERVER, Process, python, rabbitmq, restate
from loadtests.bench.peers.work import OUTCOME, SCHEMA, SERVICES, SOLD, TABLES
from loadtests.bench.record import Door, Run, Usage
from loadtests.bench.run import Bench
from loadtests.bench.sights import figures
from loadtests.bench.turns import Turn
from quartet_stack import api
from quartet_stack.layout import layout
from quartet_stack.servers.components import Report

MODE: Final = "kafka-choreography"
"""The mode in which the stack is started: only its databases are kept running, and Kafka for the peers that use it."""
ON_KAFKA: Final = ("aiokafka", "faststream")
ONE_PROCESS: Final = ("handlers", "alone", "dbos")
POSTGRESQL: Final = "temporal_postgresql"
"""It is a mode, in a stack with another setting."""
OURS: Final = "handlers"
"""It works in the tables of our services, with their code."""
WORKER: Final = "worker"
"""The second process of the order service, which Celery needs."""
NO_PACKAGES: Final = (OURS, *FLOORS)
COMPLETED: Final = "SELECT count(*) FROM public.orders WHERE status = 'COMPLETED'"
SERVERS: Final = {"celery": RABBITMQ, "restate": RESTATE_SERVER}
"""What a peer needs beside its packages, and beside the stack."""
PARTITIONS: Final = 6
"""Of each topic, as many as the modes over Kafka have."""
NO_DOOR: Final = Door(0, 0, 0.0, 0, 0)


def fetch(name: str, report: Report) -> None:
    """Fetch what a peer needs and this machine lacks.

    Raises:
        StackError: It cannot be fetched.
    """
    if name == POSTGRESQL:
        temporal_postgresql.fetch(report)
        return
    place = layout({})
    api.fetch(MODE, report)
    if name not in NO_PACKAGES:
        PYTHON.ensure(place, report)
    if name in SERVERS:
        SERVERS[name].ensure(place, report)


def measured(bench: Bench, turn: Turn, target: Path) -> Run:
    """Measure a peer at one rate."""
    if turn.mode == POSTGRESQL:
        return temporal_postgresql.measured(bench, turn, target)
    plan, name = bench.plan, turn.mode
    kept = [*(f"{service}-db" for service in SERVICES), *(["kafka"] if name in ON_KAFKA else [])]
    stack = servers(bench, kept)
    addresses = addresses_of(stack)
    asyncio.run(prepared(addresses))
    since = datetime.now(UTC)
    with ExitStack() as opened:
        running = _started(bench, name, stack, addresses, target, opened)
        roots = {each: api.processes(bench.stack_dir)[each] for each in kept} | running.pids
        if plan.warmup:
            bench.say("warming up")
            running.load(turn.rate, plan.warmup, plan.seed)
        first = reading(roots)
        bench.say("measuring it idle")
        time.sleep(plan.idle)  # the interval is what is measured
        began = reading(roots)
        ours = api.processes(bench.stack_dir) | running.pids
        before, machine = asyncio.run(logs(addresses)), MachineTime.read(ours)
        completed = asyncio.run(_completed(name, addresses))
        loading = reading(roots)
        bench.say(f"{turn.rate:g} orders/s for {plan.settle + plan.duration:g} s")
        orders = running.load(turn.rate, plan.settle + plan.duration, plan.seed + turn.number)
        ended = reading(roots)
        disturbance = MachineTime.read(ours).since(machine)
        after, done = asyncio.run(logs(addresses)), asyncio.run(_completed(name, addresses))
    consistent = _audited(bench, since) if name == OURS else asyncio.run(sound(addresses))
    return Run(
        mode=name,
        number=turn.number,
        offered=turn.rate,
        orders=done - completed,
        seen=figures(orders, plan.settle, plan.duration),
        idle=named(began - first),
        load=named(ended - loading),
        doors=dict.fromkeys(SERVICES, NO_DOOR),
        logs={service: after[service] - before[service] for service in SERVICES},
        drained=all(order.end == "completed" for order in orders),
        consistent=consistent,
        disturbance=disturbance,
        settings={},
        part=turn.part,
    )


def servers(bench: Bench, kept: Sequence[str]) -> Mapping[str, str]:
    """Have these programs of the stack run, and no service; returns the environment of the stack."""
    visit = bench.visit
    if not (visit.stack and set(kept) <= api.processes(bench.stack_dir).keys()):
        bench.say("starting")
        visit.stack = bench.up(MODE)
    visit.mode = ""  # the next visit of a mode starts the stack again
    for program in api.processes(bench.stack_dir).keys() - {*kept, "kafka"}:
        api.stop(program, bench.stack_dir)
    return visit.stack


def _started(
    bench: Bench, name: str, stack: Mapping[str, str], addresses: Mapping[str, str], target: Path, opened: ExitStack
) -> Running:
    """Start a peer's servers and its processes, the order service last."""
    place = layout({"STACK_DIR": bench.stack_dir})
    interpreter = sys.executable if name == OURS else str(python(place, bench.say).absolute())
    servers: dict[str, Process] = {}
    environment = {f"PEER_{service.upper()}_DATABASE": address for service, address in addresses.items()}
    environment["PEER_KAFKA"] = stack["KAFKA_BOOTSTRAP"]
    if name in SERVERS:
        server = {"celery": rabbitmq, "restate": restate}[name]
        servers, more = server(place, target.absolute() / "server", bench.say)
        environment |= more
    if name in ON_KAFKA:
        asyncio.run(_topics(stack["KAFKA_BOOTSTRAP"]))
    running = opened.enter_context(Running(target, environment))
    for each, process in servers.items():
        running.start(each, process)
    module = (interpreter, "-m", f"loadtests.bench.peers.{name}")
    for service in () if name in ONE_PROCESS else [each for each in SERVICES if each != "order"]:
        running.start(service, *_participant(name, service, module, interpreter))
    if name == "celery":
        running.start(WORKER, *_participant(name, "order", module, interpreter))
    running.start("order", Process(module if name in ONE_PROCESS else (*module, "order")), says_ready=True)
    return running


def _participant(name: str, service: str, module: tuple[str, ...], interpreter: str) -> tuple[Process, bool]:
    """A process of a participant, and whether it says when it is ready: a worker of Celery takes tasks when it is."""
    if name != "celery":
        return Process((*module, service)), True
    worker = (interpreter, "-m", "celery", "-A", module[-1], "worker", "-Q", service, "-n", f"{service}@peer")
    flags = ("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
    return Process((*worker, *flags), {"PEER_SERVICE": service}), False


async def prepared(addresses: Mapping[str, str]) -> None:
    """Make the tables anew, and forget what DBOS keeps."""
    for service, address in addresses.items():
        connection: Any = await asyncpg.connect(address)
        for schema in (SCHEMA, "dbos"):
            await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await connection.execute(f"CREATE SCHEMA {SCHEMA}")
        await connection.execute(f"SET search_path = {SCHEMA}")
        for statement in TABLES[service]:
            await connection.execute(statement)
        await connection.close()


async def _topics(bootstrap: str) -> None:
    """Make the topics anew."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        known = set(await admin.list_topics()) & set(TOPICS)
        if missing := [NewTopic(topic, PARTITIONS, 1) for topic in TOPICS if topic not in known]:
            await admin.create_topics(missing)
    finally:
        await admin.close()


def _audited(bench: Bench, since: datetime) -> bool:
    report = audit(Target.from_environment(bench.visit.stack), AuditOptions(since=since))
    if not report.consistent:
        show(report, bench.console)
    return report.consistent


async def _completed(name: str, addresses: Mapping[str, str]) -> int:
    return await _value(addresses["order"], COMPLETED if name == OURS else OUTCOME["order"])


async def _outcome(addresses: Mapping[str, str]) -> dict[str, int]:
    return {service: await _value(addresses[service], OUTCOME[service]) for service in SERVICES}


async def sound(addresses: Mapping[str, str]) -> bool:
    """Whether the four databases agree on how many orders were done, and the stock has lost what was sold."""
    done = set((await _outcome(addresses)).values())
    return len(done) == 1 and all(await _row(addresses["inventory"], SOLD))


async def _value(address: str, statement: str) -> int:
    return int((await _row(address, statement))[0])


async def _row(address: str, statement: str) -> Any:
    connection: Any = await asyncpg.connect(address, server_settings={"search_path": SCHEMA})
    try:
        return await connection.fetchrow(statement)
    finally:
        await connection.close()


def reading(roots: Mapping[str, int]) -> Reading:
    """Read the CPU time of these programs now."""
    return Reading(time.monotonic(), processes.cpu(roots))


def named(used: Usage) -> Usage:
    """The same with a place for each service: one process does the work of all four in some peers.

    A second process of the order service counts as its own.
    """
    cpu = {**dict.fromkeys(SERVICES, 0.0), **used.cpu}
    cpu["order"] += cpu.pop(WORKER, 0.0)
    return Usage(used.seconds, cpu)

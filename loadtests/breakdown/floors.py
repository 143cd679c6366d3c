"""The floors of a mode, on its own running stack: its carrier alone, and pgbench on its databases."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import asyncpg

from loadtests.bench.floors import pubsub, sns_sqs, temporal
from loadtests.bench.measure import Stopwatch, addresses
from loadtests.bench.peers import pgbench
from loadtests.bench.peers.measure import prepared
from loadtests.bench.peers.work import SCHEMA
from loadtests.breakdown.record import Floor
from quartet_stack import api
from sagakit.modes import MODES


def carrier_floor(stack: Mapping[str, str], clients: int, seconds: float) -> Floor | None:
    """What the carrier of the stack's mode does alone; None for Kafka, which has no such floor.

    The stack has carried orders and is quiet.
    """
    mode, environment = MODES[stack["COORDINATION_MODE"]], dict(stack)
    if mode.substrate == "sns_sqs":
        calls = asyncio.run(sns_sqs.measured(environment, seconds))
        return Floor(calls.orders, calls.emulator_cpu_ms_per_order)
    if mode.substrate == "pubsub":
        messages = asyncio.run(pubsub.measured(environment, seconds))
        return Floor(messages.orders, messages.emulator_cpu_ms_per_order)
    if mode.substrate == "temporal":
        address, server = stack["TEMPORAL_ADDRESS"], api.processes(stack["STACK_DIR"])[temporal.SERVER]
        asyncio.run(temporal.prepare(address))
        with ExitStack() as running:
            floor = temporal.Floor(address, mode.style, server, running)
            floor.measure(*temporal.WARM_UP)
            seen, cpu = floor.measure(clients, seconds)
        return Floor(round(seen.orders / seen.seconds, 1), round(sum(cpu.values()), 2))
    return None


def database_floor(stack: Mapping[str, str], seconds: float, folder: Path) -> Floor:
    """What pgbench does of the same checkouts on the stack's databases, in a schema of its own that is deleted again.

    Raises:
        StackError: PostgreSQL came without pgbench, or pgbench failed.
    """
    pgbench.check()
    found, stack_dir = addresses(stack), stack["STACK_DIR"]
    databases = {name for name in api.processes(stack_dir) if name.endswith("-db")}
    folder.mkdir(exist_ok=True)
    asyncio.run(prepared(found))
    try:
        trial, _ = pgbench.checkouts(pgbench.TRIAL, found, folder)
        number = pgbench.fitting(trial, seconds)
        watch = Stopwatch(stack_dir)
        before = watch.read()
        lasted, own = pgbench.checkouts(number, found, folder)
        used = (watch.read() - before).cpu
    finally:
        asyncio.run(_removed(found))
    cpu = own + sum(milliseconds for name, milliseconds in used.items() if name in databases)
    return Floor(round(number / lasted, 1), round(cpu / number, 3))


async def _removed(addresses: Mapping[str, str]) -> None:
    for address in addresses.values():
        connection = await asyncpg.connect(address)
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        await connection.close()

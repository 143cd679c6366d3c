"""A floor: the least SQL of a checkout, as fast as PostgreSQL can do it, with pgbench and nothing else.

Four pgbench run at the same time, one for each service's database, with the transactions that `work` gives that
service, each as one statement. Nobody waits for anybody else's step, and no message is sent: no system that handles one
message per transaction can do more checkouts a second on the same machine.
"""

import asyncio
import resource
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from loadtests.bench.disturbance import MachineTime
from loadtests.bench.measure import addresses as addresses_of
from loadtests.bench.measure import logs
from loadtests.bench.peers import measure
from loadtests.bench.peers.work import SCHEMA, SERVICES, SKUS, STEPS
from loadtests.bench.record import Run, Seen, Usage
from loadtests.bench.run import Bench
from loadtests.bench.turns import Turn
from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.layout import layout
from quartet_stack.servers import postgres

CLIENTS: Final = 8
"""Of each database."""
TRIAL: Final = 2_000
"""Checkouts of the first round, which tells how many are done within the window."""
SCRIPT: Final = f"""\\set order_id random(1, 4000000000000000000)
\\set number random(1, {SKUS})
\\set quantity random(1, 3)
\\set amount 1200 * :quantity
"""
TAKEN: Final = {"order": ("place", "confirm", "complete")}
"""Steps of the order service; one that only a choreography takes is left out."""


def check() -> None:
    """Check that PostgreSQL came with pgbench.

    Raises:
        StackError: It did not.
    """
    if not _program().exists():
        raise StackError(f"pgbench: there is none beside PostgreSQL's other programs in {_program().parent}")


def script(service: str) -> str:
    """The part of a checkout that a service's database does, for pgbench. Pure."""
    steps = [name for name, step in STEPS.items() if step.service == service]
    return SCRIPT + "".join(f"{_statement(name)};\n" for name in TAKEN.get(service, steps))


def measured(bench: Bench, turn: Turn, target: Path) -> Run:
    """Do as many checkouts as take about as long as a steady window, and tell how many those are a second."""
    kept = [f"{service}-db" for service in SERVICES]
    addresses = addresses_of(measure.servers(bench, kept))
    asyncio.run(measure.prepared(addresses))
    target.mkdir(parents=True, exist_ok=True)
    bench.say(f"{TRIAL} checkouts to see how fast it is")
    seconds, _ = checkouts(TRIAL, addresses, target)
    orders = fitting(seconds, bench.plan.duration)
    roots = {name: api.processes(bench.stack_dir)[name] for name in kept}
    before, machine, began = asyncio.run(logs(addresses)), MachineTime.read(roots), measure.reading(roots)
    bench.say(f"{orders} checkouts")
    seconds, own = checkouts(orders, addresses, target)
    used = measure.reading(roots) - began
    disturbance, after = MachineTime.read(roots).since(machine), asyncio.run(logs(addresses))
    idle = Usage(0.0, {})
    return Run(
        mode=turn.mode,
        number=turn.number,
        offered=turn.rate,
        orders=orders,
        seen=Seen(orders, 0, 0, round(orders / seconds, 1), 0.0, 0.0, 0.0),
        idle=measure.named(idle),
        load=measure.named(Usage(used.seconds, {**used.cpu, "pgbench": own})),
        doors=dict.fromkeys(SERVICES, measure.NO_DOOR),
        logs={service: after[service] - before[service] for service in SERVICES},
        drained=True,
        consistent=asyncio.run(measure.sound(addresses)),
        disturbance=disturbance,
        settings={},
        part=turn.part,
        figures={"checkouts_per_second": round(orders / seconds, 1)},
    )


def fitting(trial: float, duration: float) -> int:
    """How many checkouts take that long, if TRIAL of them took `trial` seconds: as many for each client. Pure."""
    return CLIENTS * max(round(TRIAL / trial * duration / CLIENTS), 1)


def _statement(step: str) -> str:
    """A step as one statement: all but its last one as common table expressions."""
    *first, last = [
        statement.replace(":message_id", f":order_id || '/{step}'")
        .replace(":sku", "'item-' || :number")
        .replace(":address", "'1 Main St'")
        for statement in STEPS[step].statements
    ]
    before = ", ".join(f"step_{number} AS ({statement})" for number, statement in enumerate(first, 1))
    return f"WITH {before} {last}" if before else last


def checkouts(orders: int, addresses: Mapping[str, str], target: Path) -> tuple[float, float]:
    """Do that many; returns the seconds until the slowest database has done its part, and pgbench's own CPU in ms.

    Raises:
        StackError: One of them failed.
    """
    used, began, running = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), []
    for service, address in addresses.items():
        (file := target / f"{service}.sql").write_text(script(service))
        words = ["-n", "-M", "prepared", "-c", str(CLIENTS), "-t", str(orders // CLIENTS), "-f", str(file)]
        log = (target / f"{service}.log").open("w")
        environment = {"PGOPTIONS": f"-c search_path={SCHEMA}", "PATH": "/usr/bin:/bin"}
        with log:
            running.append(
                subprocess.Popen([str(_program()), *words, address], stdout=log, stderr=log, env=environment)
            )
    statuses = [process.wait() for process in running]
    if any(statuses):
        raise StackError(f"pgbench failed; see the logs in {target}")
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return time.monotonic() - began, own * 1000


def _program() -> Path:
    return postgres.binaries(layout({}), lambda what: None) / "pgbench"

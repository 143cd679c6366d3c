"""`make status`: which programs run, in which mode, on which ports, and how much memory they use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from quartet_stack import saved
from quartet_stack.docker import containers
from quartet_stack.docker.compose import runs_in_containers
from quartet_stack.layout import layout
from quartet_stack.processes import health
from quartet_stack.processes.memory import tree_pss
from quartet_stack.processes.supervisor import Process, Supervisor
from quartet_stack.servers import promotion

MEGABYTE = 1_000_000
KINDS = {"database": 0, "substrate": 1, "provider": 2, "service": 3}  # in this order
UNKNOWN: dict[str, Any] = {
    "environment": {"COORDINATION_MODE": "(make up never finished)", "PROVIDERS": "?"},
    "programs": {},
}


def main(environ: Mapping[str, str]) -> None:
    """Print a table of the programs; one line if none runs."""
    place = layout(environ)
    console = Console(highlight=False)
    if runs_in_containers(place):
        containers.print_status(place)
        return
    supervisor = Supervisor(place)
    processes = supervisor.processes()
    if not processes:
        console.print("no stack is running; start one with: make up")
        return
    record = saved.record(place) or UNKNOWN
    console.print(_table(record, processes, supervisor.pid()))
    for line in (*promotion.describe(place), *health.describe(record["environment"])):
        console.print(line, soft_wrap=True, markup=False)


def _table(record: dict[str, Any], processes: list[Process], daemon: int) -> Table:
    environment, programs = record["environment"], record["programs"]
    memory = tree_pss([process.pid for process in processes if process.pid] + [daemon])
    table = Table(
        title=f"mode {environment['COORDINATION_MODE']}, providers {environment['PROVIDERS']}",
        title_justify="left",
    )
    for heading in ("program", "state"):
        table.add_column(heading)
    for heading in ("pid", "port", "memory (MB)"):
        table.add_column(heading, justify="right")
    processes.sort(key=lambda process: (KINDS.get(programs.get(process.program, {}).get("kind"), 9), process.name))
    for process in processes:
        ports = " ".join(map(str, programs.get(process.program, {}).get("ports", ())))
        used = f"{memory[process.pid] / MEGABYTE:.0f}" if process.pid else ""
        # supervisord calls every process STARTING for its first second
        state = "RUNNING" if process.pid and process.state == "STARTING" else process.state
        table.add_row(process.name, state, str(process.pid or ""), ports, used)
    own = memory[daemon] - sum(used for pid, used in memory.items() if pid != daemon)
    table.add_row("supervisord", "RUNNING", str(daemon), "", f"{own / MEGABYTE:.0f}")
    table.add_section()
    table.add_row("all", "", "", "", f"{memory[daemon] / MEGABYTE:.0f}")
    return table

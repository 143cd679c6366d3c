"""`make status`: what runs, in which mode, where, and how much memory it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from quartet_stack.docker import containers as docker
from quartet_stack.layout import layout
from quartet_stack.processes.memory import tree_pss
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.servers import promotion

MEGABYTE = 1_000_000
NOTHING_READY: dict[str, Any] = {
    "environment": {"COORDINATION_MODE": "(never came up)", "PROVIDERS": "?"},
    "programs": {},
}


def main(environ: Mapping[str, str]) -> None:
    """Print the table; one line when nothing runs."""
    place = layout(environ)
    console = Console(highlight=False)
    if docker.running(place):
        docker.show(place)
        return
    supervisor = Supervisor(place)
    processes = supervisor.processes()
    if not processes:
        console.print("nothing is running; start it with: make up")
        return
    record = json.loads(place.record.read_text()) if place.record.exists() else NOTHING_READY
    daemon = supervisor.pid()
    memory = tree_pss([process.pid for process in processes if process.pid] + [daemon])
    environment = record["environment"]
    table = Table(
        title=f"mode {environment['COORDINATION_MODE']}, providers {environment['PROVIDERS']}",
        title_justify="left",
    )
    for heading in ("program", "state"):
        table.add_column(heading)
    for heading in ("pid", "port", "memory (MB)"):
        table.add_column(heading, justify="right")
    kinds = {"database": 0, "substrate": 1, "provider": 2, "service": 3}
    programs = record["programs"]
    processes.sort(key=lambda process: (kinds.get(programs.get(process.program, {}).get("kind"), 9), process.name))
    for process in processes:
        ports = " ".join(map(str, programs.get(process.program, {}).get("ports", ())))
        used = f"{memory[process.pid] / MEGABYTE:.0f}" if process.pid else ""
        # supervisord speaks of starting for the first second of every process
        state = "RUNNING" if process.pid and process.state == "STARTING" else process.state
        table.add_row(process.name, state, str(process.pid or ""), ports, used)
    mine = memory[daemon] - sum(used for pid, used in memory.items() if pid != daemon)
    table.add_row("supervisord", "RUNNING", str(daemon), "", f"{mine / MEGABYTE:.0f}")
    table.add_section()
    table.add_row("all", "", "", "", f"{memory[daemon] / MEGABYTE:.0f}")
    console.print(table)
    for line in promotion.told(place):
        console.print(line, soft_wrap=True, markup=False)

"""Temporal: the development server, with its state in a SQLite file; with TEMPORAL_STORE=postgresql its own server."""

from __future__ import annotations

import shutil
from pathlib import Path

from quartet_stack.ownership.folders import home
from quartet_stack.ownership.readable import readable
from quartet_stack.processes.programs import SUBSTRATE, Program
from quartet_stack.processes.readiness import HOST, Check
from quartet_stack.servers import temporal_server
from quartet_stack.servers.components import PINS, Component, Report, pip_target
from quartet_stack.settings import Settings

LOCK = PINS / "temporal" / "requirements.lock"
COMPONENT = Component("temporal", LOCK, pip_target("Temporal", LOCK))
# The same as in docker-compose.yml; what each of them bought is in docs/performance.md
FLAGS = (
    *(("--dynamic-config-value", f"{name}={value}") for name, value in temporal_server.DYNAMIC.items()),
    ("--sqlite-pragma", "journal_mode=WAL"),
    ("--sqlite-pragma", "synchronous=NORMAL"),
)


def fetch(settings: Settings, report: Report) -> Path:
    """The development server: the installed `temporal`, else the pinned one; or the folder of Temporal's own server."""
    if temporal_server.used(settings):
        return temporal_server.fetch(settings, report)
    installed = shutil.which("temporal")
    binary = Path(installed) if installed else COMPONENT.ensure(settings.layout, report) / "bin" / "temporal"
    return readable(binary, report)


def prepare(settings: Settings, report: Report) -> Program:
    """The server."""
    if temporal_server.used(settings):
        return temporal_server.prepare(settings, report)
    binary = fetch(settings, report)
    data, _ = home(settings.layout, "temporal")
    port, ui_port = settings.port("TEMPORAL_PORT"), settings.port("TEMPORAL_UI_PORT")
    with_ui = settings["TEMPORAL_UI"] == "on"
    command = [
        *(str(binary), "server", "start-dev", "--ip", HOST, "--port", str(port)),
        *(("--ui-port", str(ui_port)) if with_ui else ("--headless",)),
        *("--db-filename", str(data / "temporal.db"), "--log-level", "warn"),
        *(word for flag in FLAGS for word in flag),
    ]
    return Program(
        name="temporal",
        kind=SUBSTRATE,
        command=tuple(command),
        directory=data,
        check=Check("tcp", port),
        ports={"TEMPORAL_PORT": port} | ({"TEMPORAL_UI_PORT": ui_port} if with_ui else {}),
        environment={"HOME": str(data)},
    )

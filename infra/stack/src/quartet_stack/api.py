"""The stack as functions, for tests and experiments that start it, break it, and repair it.

It runs natively, or in containers with `STACK=docker`; then the process ids are those of the engine's machine.

from quartet_stack import api
api.up("kafka", stack_dir=".stack/test", port_offset=10000)
api.kill("order", signal.SIGKILL, stack_dir=".stack/test")
"""

from __future__ import annotations

import importlib
import os
import signal as signals
from collections.abc import Callable, Mapping
from pathlib import Path

from quartet_stack import stack
from quartet_stack.docker import containers
from quartet_stack.docker import standby as docker_standby
from quartet_stack.docker.compose import runs_in_containers
from quartet_stack.docker.programs import Engine
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout, layout
from quartet_stack.processes import rolling
from quartet_stack.processes.supervisor import Process, Supervisor
from quartet_stack.servers import postgres, promotion
from quartet_stack.settings import resolve, stack_environment

__all__ = [
    "StackError",
    "down",
    "fetch",
    "kill",
    "log",
    "processes",
    "promote",
    "restart",
    "roll",
    "stack_environment",
    "start",
    "stop",
    "up",
]

StackDir = str | Path | None
Report = Callable[[str], None]
"""Gets a line for each step."""


def _unheard(line: str) -> None:
    pass


def up(
    mode: str | None = None,
    stack_dir: StackDir = None,
    port_offset: int | None = None,
    env: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Start a stack, or change it to these settings, and wait until it is ready; `StackError` if it fails.

    Settings that are not arguments come from `env`, then from the environment, then from the defaults. It is native
    unless `STACK` is `docker`.

    Returns:
        The environment of the stack, see `stack_environment`.
    """
    environ = {**os.environ, **(env or {})}
    given = {"COORDINATION_MODE": mode, "STACK_DIR": stack_dir, "PORT_OFFSET": port_offset}
    environ |= {name: str(value) for name, value in given.items() if value is not None}
    settings = resolve(environ)
    if settings["STACK"] != "docker":
        stack.up(settings, _silently)
    else:
        if not runs_in_containers(settings.layout):
            containers.images(settings, _silently)
        containers.up(settings, _silently)
    return stack_environment(environ.get("STACK_DIR"))


def fetch(mode: str, report: Report, env: Mapping[str, str] | None = None) -> None:
    """Fetch what a mode needs and this machine lacks, without starting anything; `report` is called with each step.

    `env` are settings of the stack in addition to those of the environment.

    Raises:
        StackError: It cannot be fetched; the message says what to install.
    """
    settings = resolve({**os.environ, **(env or {}), "COORDINATION_MODE": mode})
    postgres.binaries(settings.layout, report)
    importlib.import_module(f"quartet_stack.servers.{stack.SUBSTRATES[settings.substrate]}").fetch(settings, report)


def down(stack_dir: StackDir = None, delete_data: bool = False) -> None:
    """Stop the stack; with `delete_data`, delete its data too."""
    place = _place(stack_dir)
    containers.down(place, volumes=delete_data)
    (stack.clean if delete_data else stack.down)(place)


def processes(stack_dir: StackDir = None) -> dict[str, int]:
    """The running processes: name -> process id.

    Names are those of programs, such as `order`, `order-db`, `order-standby`, `provider`, `kafka`, `temporal`,
    `ministack` and `pubsub`; replicas are `order-1`, `order-2`.
    """
    return {process.name: process.pid for process in _programs(stack_dir).processes() if process.pid}


def kill(name: str, signal: int = signals.SIGKILL, stack_dir: StackDir = None) -> int:
    """Send a signal to one process, or to all replicas of a program; returns how many processes got it.

    supervisord, or Docker, starts each process again that ends because of it.

    Raises:
        KeyError: No process with that name runs.
    """
    pids = [process.pid for process in _named(name, stack_dir) if process.pid]
    if not pids:
        raise KeyError(name)
    for pid in pids:
        os.kill(pid, signal)
    return len(pids)


def stop(name: str, stack_dir: StackDir = None) -> None:
    """Stop a program gracefully; it stays stopped until `start`."""
    _programs(stack_dir).stop(name)


def start(name: str, stack_dir: StackDir = None) -> None:
    """Start a stopped program; returns before it is ready."""
    _programs(stack_dir).start(name)


def restart(name: str, stack_dir: StackDir = None) -> None:
    """Stop a program gracefully and start it again; returns before it is ready."""
    _programs(stack_dir).restart(name)


def roll(*services: str, stack_dir: StackDir = None, report: Report = _unheard) -> None:
    """Restart the replicas of these services one at a time per service, each once the previous one is ready."""
    place = _place(stack_dir)
    restart_each = containers.restart if runs_in_containers(place) else rolling.restart
    restart_each(place, services, report)


def promote(service: str, stack_dir: StackDir = None, report: Report = _unheard) -> None:
    """Let the standby of a service's database take over, fence the old primary, and make it the new standby.

    `StackError`, before anything is changed, unless there is a standby that has every answered commit.
    """
    place = _place(stack_dir)
    if runs_in_containers(place):
        docker_standby.promote(docker_standby.ContainerLayout(place.root), service, report)
    else:
        promotion.promote(place, service, report)


def log(name: str, stack_dir: StackDir = None) -> Path:
    """The file to which a program's output goes; in containers only root can read it."""
    place = _place(stack_dir)
    return Engine(place).log(name) if runs_in_containers(place) else place.logs / f"{name}.log"


def _named(name: str, stack_dir: StackDir) -> list[Process]:
    return [process for process in _programs(stack_dir).processes() if name in (process.name, process.program)]


def _programs(stack_dir: StackDir) -> Supervisor | Engine:
    place = _place(stack_dir)
    return Engine(place) if runs_in_containers(place) else Supervisor(place)


def _silently(what: str, how_far: str) -> None:
    pass


def _place(stack_dir: StackDir) -> Layout:
    return layout({"STACK_DIR": str(stack_dir)} if stack_dir else os.environ)

"""The stack as functions, for tests and experiments that start it, break it, and repair it.

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


def up(
    mode: str | None = None,
    stack_dir: StackDir = None,
    port_offset: int | None = None,
    env: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Start a native stack, or change it to these settings, and wait until it is ready; `StackError` if it fails.

    Settings that are not arguments come from `env`, then from the environment, then from the defaults.

    Returns:
        The environment of the stack, see `stack_environment`.
    """
    environ = {**os.environ, **(env or {})}
    given = {"COORDINATION_MODE": mode, "STACK_DIR": stack_dir, "PORT_OFFSET": port_offset}
    environ |= {name: str(value) for name, value in given.items() if value is not None}
    stack.up(resolve(environ), lambda what, how_far: None)
    return stack_environment(environ.get("STACK_DIR"))


def fetch(mode: str, report: Callable[[str], None]) -> None:
    """Fetch what a mode needs and this machine lacks, without starting anything; `report` is called with each step.

    Raises:
        StackError: It cannot be fetched; the message says what to install.
    """
    settings = resolve({**os.environ, "COORDINATION_MODE": mode})
    postgres.binaries(settings.layout, report)
    importlib.import_module(f"quartet_stack.servers.{stack.SUBSTRATES[settings.substrate]}").fetch(settings, report)


def down(stack_dir: StackDir = None, delete_data: bool = False) -> None:
    """Stop the stack; with `delete_data`, delete its data too."""
    (stack.clean if delete_data else stack.down)(_place(stack_dir))


def processes(stack_dir: StackDir = None) -> dict[str, int]:
    """The running processes: name -> process id.

    Names are those of programs, such as `order`, `order-db`, `order-standby`, `provider`, `kafka`, `temporal`,
    `ministack` and `pubsub`; replicas are `order-1`, `order-2`.
    """
    return {process.name: process.pid for process in Supervisor(_place(stack_dir)).processes() if process.pid}


def kill(name: str, signal: int = signals.SIGKILL, stack_dir: StackDir = None) -> int:
    """Send a signal to one process, or to all replicas of a program; returns how many processes got it.

    supervisord starts each process again that ends because of it.

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
    Supervisor(_place(stack_dir)).stop(name)


def start(name: str, stack_dir: StackDir = None) -> None:
    """Start a stopped program; returns before it is ready."""
    Supervisor(_place(stack_dir)).start(name)


def restart(name: str, stack_dir: StackDir = None) -> None:
    """Stop a program gracefully and start it again; returns before it is ready."""
    Supervisor(_place(stack_dir)).restart(name)


def roll(*services: str, stack_dir: StackDir = None) -> None:
    """Restart the replicas of these services one at a time per service, each once the previous one is ready."""
    rolling.restart(_place(stack_dir), services)


def promote(service: str, stack_dir: StackDir = None) -> None:
    """Let the standby of a service's database take over, fence the old primary, and make it the new standby.

    `StackError`, before anything is changed, unless there is a standby that has every answered commit.
    """
    promotion.promote(_place(stack_dir), service)


def _named(name: str, stack_dir: StackDir) -> list[Process]:
    processes = Supervisor(_place(stack_dir)).processes()
    return [process for process in processes if name in (process.name, process.program)]


def _place(stack_dir: StackDir) -> Layout:
    return layout({"STACK_DIR": str(stack_dir)} if stack_dir else os.environ)

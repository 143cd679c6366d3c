"""`python -m loadtests.bench.floors.temporal [SECONDS [CLIENTS...]]`: workflows with nothing in them, on our server.

Uses the Temporal server of the running stack (STACK_DIR), and so its flags, with a namespace of its own. `noop.py` has
the shapes. Prints a row for each style and number of clients: 8 seconds each with 1 and with 50 clients by default.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Final

from rich.console import Console
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from loadtests.bench import processes
from loadtests.bench.floors.noop import ORDER, PARTICIPANTS, SHAPES, Figures
from loadtests.bench.tables import Table, figure
from quartet_stack import api
from quartet_stack.errors import StackError
from sagakit.modes.temporal.connection import ensure_namespace

NAMESPACE: Final = "floor"
SERVER: Final = "temporal"
WARM_UP: Final = (10, 2.0)
HEAD: Final = ("floor", "clients", "orders/s", "p50, ms", "p99, ms", "events", "CPU ms per order", "server", "order")


class Floor:
    """The four processes of one style, on a server whose process id is `server`."""

    def __init__(self, address: str, style: str, server: int, running: ExitStack) -> None:
        module = (sys.executable, "-m", "loadtests.bench.floors.noop", address, NAMESPACE, style)
        self._services = {name: running.enter_context(_process((*module, name))) for name in (ORDER, *PARTICIPANTS)}
        self._roots = {SERVER: server} | {name: service.pid for name, service in self._services.items()}
        for service in self._services.values():
            _line(service)

    def measure(self, clients: int, seconds: float) -> tuple[Figures, Mapping[str, float]]:
        """One load: what its clients saw, and the CPU time of each process in milliseconds per order."""
        before = processes.cpu(self._roots)
        order = self._services[ORDER]
        _file(order.stdin).write(f"{clients} {seconds}\n")
        _file(order.stdin).flush()
        seen = Figures(**json.loads(_line(order)))
        after = processes.cpu(self._roots)
        return seen, {name: (after[name] - before[name]) / seen.orders for name in self._roots}


def row(style: str, clients: int, seen: Figures, cpu: Mapping[str, float]) -> tuple[str, ...]:
    """One line of the table."""
    rest = (seen.orders / seen.seconds, seen.p50, seen.p99, seen.events, sum(cpu.values()), cpu[SERVER], cpu[ORDER])
    return (style, str(clients), *map(figure, rest))


def main(arguments: Sequence[str]) -> int:
    """Print the table; returns the exit status: 2 for a wrong argument or without a running server."""
    try:
        seconds, clients = float((*arguments, "8")[0]), [int(one) for one in arguments[1:]] or [1, 50]
        stack = api.stack_environment(os.environ.get("STACK_DIR"))
        server, address = api.processes(os.environ.get("STACK_DIR"))[SERVER], stack["TEMPORAL_ADDRESS"]
    except ValueError:
        print("usage: python -m loadtests.bench.floors.temporal [SECONDS [CLIENTS...]]", file=sys.stderr)
        return 2
    except (StackError, KeyError) as error:
        print(f"no Temporal server runs here ({error}): MODE=temporal make up", file=sys.stderr)
        return 2
    asyncio.run(prepare(address))
    rows = []
    for style in SHAPES:
        with ExitStack() as running:
            floor = Floor(address, style, server, running)
            floor.measure(*WARM_UP)
            for number in clients:
                print(f"{style}: {number} clients, {seconds:g} s", file=sys.stderr)
                rows.append(row(style, number, *floor.measure(number, seconds)))
    Console(width=None if sys.stdout.isatty() else 140).print(
        Table("Workflows with nothing in them", HEAD, rows).drawn()
    )
    return 0


async def prepare(address: str) -> None:
    """Wait until workflows can be started in the floor's namespace, which is some time after it was registered.

    Raises:
        RPCError: The server refused for another reason.
    """
    client = await Client.connect(address, namespace=NAMESPACE)
    await ensure_namespace(client)
    while True:
        try:
            probe = await client.start_workflow("Probe", id=f"probe-{time.time_ns()}", task_queue="floor-probe")
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            await asyncio.sleep(0.2)  # the server announces nothing
        else:
            await probe.terminate()
            return


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is asked to end at the end, and killed if it does not."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            _file(process.stdin).close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    """The next line that the process itself wrote: the SDK's warnings are on the same output.

    Raises:
        StackError: The process ended before.
    """
    for line in _file(process.stdout):
        if line.startswith(("ready", "{")):
            return line
    raise StackError(f"a process of the floor ended: {process.args!r}")


def _file(file: IO[str] | None) -> IO[str]:
    assert file is not None
    return file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

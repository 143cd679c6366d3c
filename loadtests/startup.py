"""`python -m loadtests.startup`: the CPU that each service needs until it is ready, and `make up` again.

Restarts one service after the other, three times each, and takes the least CPU time of its process at the moment when
it answers that it is ready. Exit status 0 if each is ready within CPU_MOST (1) seconds of CPU, and `make up` over the
running stack takes AGAIN_MOST (3) seconds at most; 1 if not, 2 if no stack is running.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from loadtests.bench import processes
from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY
from quartet_stack.settings import SERVICES, stack_environment

TIMES: Final = 3
PATIENCE: Final = 60.0  # seconds
DEFAULTS: Final = {"CPU_MOST": "1", "AGAIN_MOST": "3"}


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU seconds of each service until it was ready, and the seconds that `make up` took over the running stack."""

    cpu: Mapping[str, float]
    again: float

    def missed(self, most: float, again_most: float) -> list[str]:
        """What took longer than that."""
        late = [f"{name} needs {used:.2f} s of CPU until it is ready" for name, used in self.cpu.items() if used > most]
        return [*late, *([f"make up again takes {self.again:.1f} s"] if self.again > again_most else [])]


def measured(stack: Mapping[str, str], restart: Callable[[str], Any], again: Callable[[], Any]) -> Measured:
    """Restart every service TIMES times, then bring the stack up again.

    Raises:
        StackError: A service did not become ready.
    """
    cpu = {name: min(_cpu_until_ready(stack, name, restart) for _ in range(TIMES)) for name in SERVICES}
    began = time.monotonic()
    again()
    return Measured(cpu, time.monotonic() - began)


def _cpu_until_ready(stack: Mapping[str, str], name: str, restart: Callable[[str], Any]) -> float:
    restart(name)
    url, until = f"{stack[f'{name.upper()}_URL']}/health/ready", time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return processes.cpu({name: api.processes(stack.get("STACK_DIR"))[name]})[name] / 1000
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.01)
    raise StackError(f"{name} is not ready after {PATIENCE:g} s; see: make logs SERVICE={name}")


def bounds(environ: Mapping[str, str]) -> tuple[float, float]:
    """CPU_MOST and AGAIN_MOST.

    Raises:
        ValueError: One of them is no number.
    """
    given = {name: environ.get(name) or otherwise for name, otherwise in DEFAULTS.items()}
    try:
        return float(given["CPU_MOST"]), float(given["AGAIN_MOST"])
    except ValueError:
        words = " ".join(f"{name}={value}" for name, value in given.items())
        raise ValueError(f"{words}: expected numbers of seconds") from None


def main(environ: Mapping[str, str]) -> int:
    """Measure the running stack, and print a table; the exit status."""
    try:
        most, again_most = bounds(environ)
        stack = stack_environment(environ.get("STACK_DIR"))
        found = measured(
            stack,
            lambda name: api.restart(name, environ.get("STACK_DIR")),
            lambda: subprocess.run(["make", "up"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL),
        )
    except (StackError, ValueError, subprocess.CalledProcessError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    table = Table("", "seconds")
    for name, used in found.cpu.items():
        table.add_row(f"{name}: CPU until it is ready", f"{used:.2f}")
    table.add_row("make up again", f"{found.again:.1f}")
    Console().print(table)
    for what in found.missed(most, again_most):
        print(f"MISSED {what}")
    return 1 if found.missed(most, again_most) else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))

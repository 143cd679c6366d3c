"""`python -m loadtests.bench.ease`: how easily a mode is changed and followed, counted; writes docs/results/ease.json.

A stack of its own is started in each mode, with the payment service in a process that looks at its call stacks (see
`chains`), and one order is placed: the hops are the functions of ours from the message that asks for the payment to the
handler that decides about it. What a change touches is counted in the code (see `change`). The comparison shows both.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from rich.console import Console

from loadtests.bench import change
from loadtests.bench.backlog import one_order
from loadtests.bench.chains import COMMAND, MOMENTS, SERVICE
from loadtests.bench.machine import commit
from loadtests.bench.plan import PORT_OFFSET, STACK_DIR
from loadtests.bench.tables import Table
from quartet_stack import api, services
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY
from quartet_stack.processes.polling import until
from quartet_stack.processes.readiness import Check, wait_for
from quartet_stack.secrets_store import read
from quartet_stack.settings import Settings, resolve
from sagakit.modes import MODES

DATA: Final = REPOSITORY / "docs" / "results" / "ease.json"
READY: Final = 60.0
WRITTEN: Final = 20.0
CARRIERS: Final = "shared/src/sagakit/modes/"


@dataclass(frozen=True, slots=True)
class Ease:
    """What was counted at a commit: the rows of what a change touches, and of each mode the stacks by moment."""

    commit: str
    changes: Sequence[Sequence[str]]
    chains: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]

    @property
    def about(self) -> str:
        """What was counted, in words."""
        return (
            f"Counted at commit `{self.commit}` by `python -m loadtests.bench.ease`. From a message to its handler: "
            "the functions of this repository that are on the call stack when a message (or an activity's task) is "
            "taken from the client library, when its command is known and handed to the one door, and when the "
            "handler decides, for the message that asks the payment service for an authorization. Neither what sent "
            "that message counts, which under orchestration is one more place to look at, nor what a client library "
            "does itself, which is more in Temporal's than in a broker's. What a change touches: lines of code that "
            "name what an existing reason, step or participant is named."
        )

    @property
    def tables(self) -> list[Table]:
        """Both tables."""
        rows = [[f"`{mode}`", *map(str, counts(chains))] for mode, chains in self.chains.items()]
        head = ["mode", "functions", "files", "functions of the carrier's folder", "functions of the service"]
        changes = change.table({})
        return [
            Table("From a message to its handler", head, rows),
            Table(changes.title, changes.head, self.changes),
        ]


def counts(chains: Mapping[str, Sequence[tuple[str, str]]]) -> tuple[int, int, int, int]:
    """The columns of a mode: functions and files, the functions that are the carrier's, and those of the service."""
    path = set(map(tuple, (hop for moment in MOMENTS for hop in chains.get(moment, ()))))
    carrier = [file for file, _ in path if file.startswith(CARRIERS) and "/" in file.removeprefix(CARRIERS)]
    service = [file for file, _ in path if file.startswith("services/")]
    return len(path), len({file for file, _ in path}), len(carrier), len(service)


def chains(mode: str, environ: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """The call stacks in a mode: of one order, on the stack of `environ`, which is changed to that mode.

    Raises:
        StackError: The stack does not start, or the order does not complete.
    """
    stack = api.up(mode, env=environ)
    settings = resolve({**os.environ, **environ, "COORDINATION_MODE": mode})
    api.stop(SERVICE, environ["STACK_DIR"])
    with TemporaryDirectory() as folder:
        file = Path(folder, "chains.json")
        process = subprocess.Popen(
            [sys.executable, "-m", "loadtests.bench.chains", str(file)],
            env={**os.environ, **_environment(settings)},
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if late := wait_for({SERVICE: Check("ready", settings.port(f"{SERVICE.upper()}_PORT"))}, READY):
                raise StackError(f"{SERVICE} is not ready: {late[SERVICE]}")
            one_order(stack)
            if not until(file.exists, WRITTEN):
                raise StackError(f"{SERVICE} has decided about no {COMMAND.__name__}")
            return {
                moment: [(file, name) for file, name in hops] for moment, hops in json.loads(file.read_bytes()).items()
            }
        finally:
            process.terminate()
            process.wait()


def _environment(settings: Settings) -> Mapping[str, str]:
    """What the stack gives the service."""
    return services.service(settings, read(settings.layout), SERVICE, Path(sys.executable)).environment


def published(path: Path = DATA) -> Ease:
    """What was counted last."""
    return msgspec.json.decode(path.read_bytes(), type=Ease)


def main() -> int:
    """Count both and write them; returns the exit status, 1 if a mode cannot be run: then nothing is written."""
    environ = {
        "STACK_DIR": os.environ.get("BENCH_STACK_DIR") or STACK_DIR,
        "PORT_OFFSET": os.environ.get("BENCH_PORT_OFFSET") or PORT_OFFSET,
        **{"STACK": "native", "PROVIDERS": "instant", "REPLICAS": "1", "TEMPORAL_UI": "off"},
    }
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    try:
        for mode in MODES:
            with console.status(f"{len(found) + 1} of {len(MODES)}: {mode}"):
                found[mode] = chains(mode, environ)
            console.print(f"{mode}: {counts(found[mode])[0]} functions")
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        api.down(environ["STACK_DIR"], delete_data=True)
    ease = Ease(commit(), change.table(change.touched()).rows, found)
    DATA.write_bytes(msgspec.json.format(msgspec.json.encode(ease), indent=1) + b"\n")
    for table in ease.tables:
        console.print(table.drawn())
    console.print(f"written to {DATA}; publish the comparison again with python -m loadtests.bench.comparison")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""py-spy at the services of a stack."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from quartet_stack import api
from quartet_stack.settings import SERVICES

PY_SPY: Final = Path(sys.executable).with_name("py-spy")

Sampler = tuple[str, "subprocess.Popen[bytes]"]
"""The name of a process, and py-spy at it."""


def services(stack_dir: str | None = None) -> dict[str, int]:
    """The process ids of the services, by name; replicas have names of their own."""
    return {
        name: pid
        for name, pid in api.processes(stack_dir).items()
        if name.partition("-")[0] in SERVICES and not name.endswith(("-db", "-standby"))
    }


def samplers(
    folder: Path, seconds: float, options: Sequence[str], ending: str, stack_dir: str | None = None
) -> list[Sampler]:
    """py-spy at every process of the services, for so many seconds; each writes the file of its name."""
    started = []
    for name, pid in services(stack_dir).items():
        command = [str(PY_SPY), "record", *options, "-d", str(int(seconds))]
        command += ["-o", str(folder / f"{name}{ending}"), "-p", str(pid)]
        with (folder / f"{name}.log").open("wb") as log:
            started.append((name, subprocess.Popen(command, stdout=log, stderr=log)))
    return started


def failures(folder: Path, started: Sequence[Sampler]) -> dict[str, str]:
    """Wait for them: the names of those that failed, and the end of what each said."""
    failed = [name for name, sampler in started if sampler.wait()]
    return {name: (folder / f"{name}.log").read_text().strip()[-300:] for name in failed}

"""The machine and the commit of a bench: what a reader has to know before comparing its figures with others."""

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Final

import psutil

from loadtests.bench.record import Machine
from quartet_stack.layout import REPOSITORY

UNKNOWN: Final = "unknown"


def machine(postgresql: str) -> Machine:
    """Describe this machine; `postgresql` is the version of the database server, which only a running one tells."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=_processor() or platform.machine(),
        memory=psutil.virtual_memory().total,
        python=platform.python_version(),
        postgresql=postgresql,
    )


def commit() -> str:
    """Name the commit of this checkout, with `-dirty` where files differ from it; UNKNOWN outside of a repository."""
    words = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN


def _processor() -> str:
    """The name of the processor; empty where the kernel tells none, as on ARM. psutil does not know it."""
    name = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return name.group(1).strip() if name else ""

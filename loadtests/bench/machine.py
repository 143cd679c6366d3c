"""Where a bench runs: what a reader has to know before comparing its figures with those of another machine."""

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Final

from loadtests.bench.record import Machine
from quartet_stack.layout import REPOSITORY

UNKNOWN: Final = "unknown"


def machine(postgresql: str) -> Machine:
    """This machine; the version of the database server comes from a server that runs."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=_line("/proc/cpuinfo", r"^model name\s*: (.+)$") or platform.machine(),
        memory=int(_line("/proc/meminfo", r"^MemTotal:\s+(\d+) kB$") or 0) * 1024,
        python=platform.python_version(),
        postgresql=postgresql,
    )


def commit() -> str:
    """The commit of this checkout, with `-dirty` where something differs from it; unknown outside of a repository."""
    words = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN


def _line(file: str, pattern: str) -> str:
    found = re.search(pattern, Path(file).read_text(), re.MULTILINE)
    return found.group(1).strip() if found else ""

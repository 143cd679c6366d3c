"""Find the Java that brokers run on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.ownership.readable import readable


def java(for_what: str, report: Callable[[str], None]) -> Path:
    """`JAVA_HOME`'s or the PATH's java, where brokers can read it; raises `StackError` naming how to get one."""
    home = os.environ.get("JAVA_HOME")
    candidate = Path(home, "bin", "java") if home else None
    found = str(candidate) if candidate and candidate.exists() else shutil.which("java")
    if not found:
        raise StackError(
            f"{for_what} needs Java 17 or newer, and there is no java in JAVA_HOME or PATH; "
            "on Debian: apt-get install openjdk-17-jre-headless; a mode without it: make up MODE=temporal"
        )
    binary = Path(os.path.realpath(found))
    return readable(binary.parents[1], report) / "bin" / binary.name

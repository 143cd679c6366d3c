"""Find a Java for the brokers that need one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.ownership.readable import readable


def java(program: str, report: Callable[[str], None]) -> Path:
    """The `java` of `JAVA_HOME` or of PATH, at a path that the users of brokers can read.

    Raises:
        StackError: There is none; the message says how to install one.
    """
    home = os.environ.get("JAVA_HOME")
    candidate = Path(home, "bin", "java") if home else None
    path = str(candidate) if candidate and candidate.exists() else shutil.which("java")
    if not path:
        raise StackError(
            f"{program} needs Java 17 or newer, and there is no java in JAVA_HOME or PATH; "
            "on Debian: apt-get install openjdk-17-jre-headless; or use a mode without it: make up MODE=temporal"
        )
    binary = Path(os.path.realpath(path))
    return readable(binary.parents[1], report) / "bin" / binary.name

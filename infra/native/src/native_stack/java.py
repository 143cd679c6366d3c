"""Find the Java that brokers run on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from native_stack.errors import StackError


def java(for_what: str) -> Path:
    """`JAVA_HOME`'s or the PATH's java; raises `StackError` naming how to get one."""
    home = os.environ.get("JAVA_HOME")
    candidate = Path(home, "bin", "java") if home else None
    if candidate and candidate.exists():
        return candidate
    found = shutil.which("java")
    if not found:
        raise StackError(
            f"{for_what} needs Java 17 or newer, and there is no java in JAVA_HOME or PATH; "
            "on Debian: apt-get install openjdk-17-jre-headless; a mode without it: make up MODE=temporal"
        )
    return Path(os.path.realpath(found))

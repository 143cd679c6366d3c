"""The audit that ends every load test."""

import os
import subprocess
import sys
from collections.abc import Mapping


def audited(settings: Mapping[str, str] | None = None) -> bool:
    """Print the audit of a stack; whether it is clean. `settings` go before those of the environment."""
    environment = {**os.environ, **(settings or {})}
    return subprocess.run([sys.executable, "-m", "checkout_audit"], check=False, env=environment).returncode == 0

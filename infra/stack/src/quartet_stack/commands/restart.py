"""`make restart`: restart the services one replica at a time, so that several replicas leave no gap."""

from __future__ import annotations

import time
from collections.abc import Mapping

from quartet_stack import api
from quartet_stack.errors import UsageError
from quartet_stack.layout import layout
from quartet_stack.settings import SERVICES


def main(environ: Mapping[str, str]) -> None:
    """Restart the services that `SERVICE` names (default: all four), each replica once the previous one is ready.

    Raises:
        UsageError: `SERVICE` names something that is not a service.
    """
    names = environ.get("SERVICE", "").replace(",", " ").split() or list(SERVICES)
    if unknown := [name for name in names if name not in SERVICES]:
        raise UsageError(f"SERVICE={unknown[0]} cannot be restarted; valid: {', '.join(SERVICES)}")
    started = time.monotonic()
    api.roll(*names, stack_dir=layout(environ).root, report=lambda line: print(f"  {line}", flush=True))
    print(f"restarted {', '.join(names)} in {time.monotonic() - started:.1f} s")

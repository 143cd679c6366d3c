"""`make restart`: restart the services one replica at a time, so that several replicas leave no gap."""

from __future__ import annotations

import time
from collections.abc import Mapping

from quartet_stack.docker import containers
from quartet_stack.docker.compose import runs_in_containers
from quartet_stack.errors import UsageError
from quartet_stack.layout import layout
from quartet_stack.processes import rolling
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
    place = layout(environ)
    restart = containers.restart if runs_in_containers(place) else rolling.restart
    restart(place, names, lambda line: print(f"  {line}", flush=True))
    print(f"restarted {', '.join(names)} in {time.monotonic() - started:.1f} s")

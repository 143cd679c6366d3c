"""What the services of a running stack say of themselves, for `make status`."""

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from urllib.parse import urlsplit

from quartet_stack.processes.readiness import Check, get
from quartet_stack.settings import SERVICES


def describe(environment: Mapping[str, str]) -> Iterator[str]:
    """A line for each service that is not ready, or runs in another mode than the stack."""
    mode = environment.get("COORDINATION_MODE", "")
    for name in SERVICES:
        port = urlsplit(environment.get(f"{name.upper()}_URL", "")).port
        if port is None:
            continue
        try:
            said = json.loads(get(Check("ready", port))[1])
            status, own = said["status"], said["mode"]
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            yield f"{name} does not say whether it is ready: {type(error).__name__}"
            continue
        if status != "ready":
            away = [f"{what} is away ({why})" for what, why in said.get("away", {}).items()]
            yield f"{name} is {status}: {'; '.join([said['reason']] if 'reason' in said else away)}"
        if own != mode:
            yield f"{name} runs in {own}, the stack in {mode}; for one mode: make up MODE={mode}"

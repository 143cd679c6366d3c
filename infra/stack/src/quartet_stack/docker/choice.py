"""Choose between containers and a native stack. Standard library only: needed before anything is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from quartet_stack.docker.compose import COMPOSE_FILE, runs_in_containers
from quartet_stack.errors import UsageError
from quartet_stack.layout import Layout

ANSWER_SECONDS = 10
OLDEST_COMPOSE = (2, 24)  # the first that accepts optional files of settings
OLDEST_ENGINE = (25,)  # the first whose health checks run more often while a container starts


@dataclass(frozen=True)
class Choice:
    """Containers or a native stack, and the reason in one line."""

    in_containers: bool
    explanation: str


def choose(option: str, place: Layout | None = None, native_runs: bool = False) -> Choice:
    """Decide what `STACK=<option>` means here: `auto` keeps what runs, and otherwise prefers containers.

    Args:
        option: `auto`, `docker` or `native`.
        place: The stack, if the containers that it already has should count.
        native_runs: Whether a native stack runs in that place.

    Raises:
        UsageError: `docker` was asked for and is not possible on this machine.
    """
    if option == "native":
        return Choice(False, "native (STACK=native)")
    if option == "auto" and native_runs:
        return Choice(False, "native, because a native stack runs; to choose, set STACK=docker or STACK=native")
    reason = why_not()
    if option == "docker":
        if reason:
            raise UsageError(f"STACK=docker is not possible: {reason}; use STACK=native")
        return Choice(True, "docker compose (STACK=docker)")
    if reason:
        return native_because(reason)
    if place is not None and runs_in_containers(place):
        return Choice(True, "docker compose, because the stack runs in containers; to change, set STACK=native")
    return Choice(True, "docker compose; to change, set STACK=native")


def native_because(reason: str) -> Choice:
    """The native stack, as the fallback of `auto`."""
    return Choice(False, f"native, because {reason}; to choose, set STACK=docker or STACK=native")


def why_not() -> str:
    """Why containers are not possible on this machine; empty if they are."""
    if not COMPOSE_FILE.exists():
        return "there is no docker-compose.yml"
    if not shutil.which("docker"):
        return "there is no docker command"
    compose = answer("compose", "version", "--short")
    if _version(compose) < (2,):
        return "docker has no Compose v2"
    if _version(compose) < OLDEST_COMPOSE:
        return f"docker compose {compose} is too old; {'.'.join(map(str, OLDEST_COMPOSE))} is needed"
    engine = answer("info", "--format", "{{.ServerVersion}}")
    if not engine:
        return "no Docker engine answers"
    if _version(engine) < OLDEST_ENGINE:
        return f"Docker {engine} is too old; {OLDEST_ENGINE[0]} is needed"
    return ""


def answer(*arguments: str) -> str:
    """What `docker` prints for these arguments; empty if it fails or takes longer than 10 s."""
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(text: str) -> tuple[int, ...]:
    """Major and minor version; a local build without a number counts as new enough."""
    match = re.match(r"v?(\d+)\.(\d+)", text)
    return tuple(map(int, match.groups())) if match else (99,) if text else ()

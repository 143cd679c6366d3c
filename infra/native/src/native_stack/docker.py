"""The choice between containers and the native stack, and the way into the former."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass

from native_stack.errors import StackError, usage
from native_stack.layout import REPOSITORY, Layout
from native_stack.secrets_store import write_private
from native_stack.settings import DEFAULTS, PORTS, Settings

COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
ANSWER_SECONDS = 10


@dataclass(frozen=True)
class Choice:
    """Which of the two, and why in one line."""

    docker: bool
    said: str


def choose(wanted: str) -> Choice:
    """Follow `STACK`; auto takes containers where they can work. Status 2 when docker cannot be had."""
    if wanted == "native":
        return Choice(False, "native (STACK=native)")
    reason = why_not()
    if wanted == "docker":
        if reason:
            raise usage(f"STACK=docker cannot be had: {reason}; use STACK=native")
        return Choice(True, "docker compose (STACK=docker)")
    if reason:
        return Choice(False, f"native, because {reason}; choose with STACK=docker or STACK=native")
    return Choice(True, "docker compose; choose the other with STACK=native")


def why_not() -> str:
    """What stands in the way of containers; empty when nothing does."""
    if not COMPOSE_FILE.exists():
        return "there is no docker-compose.yml"
    if not shutil.which("docker"):
        return "there is no docker command"
    if _answers("compose", "version", "--short").lstrip("v")[:1] not in tuple("23456789"):
        return "docker has no Compose v2"
    if not _answers("info", "--format", "{{.ServerVersion}}"):
        return "no Docker engine answers"
    return ""


def up(settings: Settings) -> None:
    """Start the containers of the mode and wait until they are healthy."""
    environment = {name: settings[name] for name in (*PORTS, *DEFAULTS)}
    write_private(settings.layout.run, "docker.json", json.dumps({"mode": settings.mode, **environment}))
    _compose(["--profile", settings.mode, "up", "--detach", "--wait", "--remove-orphans"], environment)


def down(place: Layout, volumes: bool) -> None:
    """Stop the containers of whatever mode runs."""
    environment: dict[str, str] = json.loads((place.run / "docker.json").read_text())
    _compose(
        ["--profile", environment["mode"], "down", "--remove-orphans", *(["--volumes"] if volumes else [])],
        environment,
    )
    (place.run / "docker.json").unlink()


def running(place: Layout) -> bool:
    """Whether the last `up` of this stack went through docker."""
    return (place.run / "docker.json").exists()


def show() -> None:
    """What runs in containers."""
    subprocess.run(["docker", "compose", "-f", str(COMPOSE_FILE), "ps"], check=False)


def _compose(arguments: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["docker", "compose", "-f", str(COMPOSE_FILE), *arguments],
        env={**os.environ, **environment},
        check=False,
    )
    if done.returncode:
        raise StackError(f"docker compose ended with status {done.returncode}; natively: make up STACK=native")


def _answers(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

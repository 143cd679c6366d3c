"""Start, stop, restart and show the containers of a stack."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from quartet_stack.docker import standby
from quartet_stack.docker.choice import answer, why_not
from quartet_stack.docker.compose import Compose, runs_in_containers
from quartet_stack.docker.environment import BROKERS, link_env_file, prepare, record, stack_secrets
from quartet_stack.docker.images import refuse_other_digest
from quartet_stack.docker.programs import docker
from quartet_stack.errors import StackError, UsageError
from quartet_stack.layout import Layout, alone
from quartet_stack.processes import health
from quartet_stack.processes.polling import until
from quartet_stack.processes.programs import STOP_SECONDS
from quartet_stack.processes.readiness import INTERVAL
from quartet_stack.saved import START_AGAIN, parsed
from quartet_stack.secrets_store import write_private
from quartet_stack.settings import SERVICES, Settings, stack_environment

WORKERS = tuple(f"{name}-worker" for name in SERVICES)

Step = Callable[[str, str], None]  # (what, how far)


def images(settings: Settings, step: Step) -> None:
    """Pull the images that are missing, and build our own.

    Raises:
        StackError: An image could not be pulled or built, or its digest is not the listed one; the message names it.
    """
    compose = prepare(settings)
    services = json.loads(compose.output("config", "--format", "json"))["services"].values()
    names = {service["build"]["args"]["PYTHON"] for service in services if "build" in service}
    names |= {
        service["image"] for service in services if "build" not in service and service.get("pull_policy") != "never"
    }
    for image in sorted(names):
        if not answer("image", "inspect", "--format", "{{.Id}}", image):
            step("images", f"pulling {image}")
            _pull(image)
        refuse_other_digest(image, answer("image", "inspect", "--format", '{{join .RepoDigests " "}}', image).split())
    step("images", "building")
    if tail := compose.run("build", report=lambda line: step("images", line), of_interest="] "):
        raise StackError("the images of the services could not be built:\n  " + "\n  ".join(tail))
    step("images", "ready")


def _pull(image: str) -> None:
    done = subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise StackError(f"the image {image} could not be pulled ({lines[-1][:200] if lines else 'no reason given'})")


def up(settings: Settings, step: Step) -> list[str]:
    """Start the containers of the mode from images that exist, and wait until they are healthy.

    Returns:
        The names of the containers that were started.

    Raises:
        StackError: A container did not become healthy in time; the message has the end of its log.
    """
    place = settings.layout
    with alone(place):
        compose = prepare(settings)
        link_env_file(place)
        previous_mode = _running_mode(place)
        record(settings)
        replicas = int(settings["REPLICAS"])
        unneeded = [broker for substrate, broker in BROKERS.items() if substrate != settings.substrate]
        unneeded += WORKERS if replicas == 1 else ()
        if previous_mode and previous_mode != settings.mode:
            step("services", f"stopping those of {previous_mode}")
            compose.run("stop", *SERVICES)
        compose.run("rm", "--stop", "--force", "--volumes", *unneeded)
        write_private(place.run, "docker.json", json.dumps({"mode": settings.mode}))
        write_private(place.data, _volumes(place).name, "")
        standby.set_up(settings, stack_secrets(settings), compose, step)
        scale = [word for name in WORKERS if replicas > 1 for word in ("--scale", f"{name}={replicas - 1}")]
        started = _start(settings, compose, scale, step)
        step("containers", "ready")
        return started


def _start(settings: Settings, compose: Compose, scale: Sequence[str], step: Step) -> list[str]:
    started: list[str] = []

    def follow(line: str) -> None:
        step("containers", line)
        if line.endswith(" Started"):
            started.append(line.split()[1].removeprefix(f"{compose.project}-"))

    step("containers", "starting")
    tail = compose.run(
        *("up", "--detach", "--no-build", "--remove-orphans", *scale),
        *("--wait", "--wait-timeout", settings["READY_TIMEOUT"]),
        report=follow,
        of_interest="Container ",
    )
    if tail:
        raise StackError("\n".join([*(compose.complaints() or tail[-6:]), "for the complete logs: make logs"]))
    return started


def down(place: Layout, volumes: bool) -> bool:
    """Stop and remove the containers of whatever mode runs; with `volumes`, delete their data too.

    Returns:
        False if this stack was never started in containers.

    Raises:
        StackError: The containers exist and Docker does not answer, or Compose failed.
    """
    if not _volumes(place).exists() or not (volumes or runs_in_containers(place)):
        return False
    reason = why_not()
    if reason:
        raise StackError(f"this stack is in containers, which cannot be reached: {reason}")
    compose = Compose(place)
    if tail := compose.run("down", "--remove-orphans", *(["--volumes"] if volumes else [])):
        raise StackError("docker compose down failed:\n  " + "\n  ".join(tail))
    (place.run / "docker.json").unlink(missing_ok=True)
    if volumes:
        _volumes(place).unlink()
    return True


def restart(place: Layout, services: Sequence[str], report: Callable[[str], None]) -> None:
    """Restart one container after another: that with the port, then its workers, each once the previous is healthy.

    Raises:
        StackError: A container did not become healthy again in time; the rest was not restarted.
    """
    compose = Compose(place)
    seconds = float(stack_environment(place.root)["READY_TIMEOUT"])
    for service in services:
        for part in (service, f"{service}-worker"):
            for name in compose.output("ps", "--format", "{{.Name}}", part).split():
                _restart(name, seconds)
                report(f"{name} is healthy")


def _restart(name: str, seconds: float) -> None:
    docker("restart", "--timeout", str(STOP_SECONDS), name)

    def health() -> str:
        return docker("inspect", "--format", "{{.State.Health.Status}}", name)

    if not until(lambda: health() == "healthy", seconds, INTERVAL):
        raise StackError(f"{name} is {health()} {seconds:.0f} s after its restart; for its log: make logs")


def print_status(place: Layout) -> None:
    """Print which containers run, and the memory that they use."""
    print(f"mode {_running_mode(place)}, in containers")
    compose = Compose(place)
    compose.through("ps", "--all", "--format", "table {{.Service}}\t{{.Status}}\t{{.Ports}}")
    for line in (*standby.describe(place), *health.describe(stack_environment(place.root))):
        print(line)
    names = compose.output("ps", "--quiet").split()
    if names:
        subprocess.run(
            ["docker", "stats", "--no-stream", "--format", "table {{.Name}}\t{{.MemUsage}}\t{{.CPUPerc}}", *names],
            check=False,
        )


def print_logs(place: Layout, environ: Mapping[str, str]) -> None:
    """Follow the logs; `SERVICE` selects one container, `FOLLOW=off` prints what there is and ends.

    Raises:
        UsageError: `SERVICE` names nothing that has a log.
    """
    compose = Compose(place)
    service = environ.get("SERVICE", "")
    names = compose.output("config", "--services").split()
    if service and service not in names:
        raise UsageError(f"SERVICE={service} has no log; valid: {', '.join(sorted(names))}")
    follow = [] if environ.get("FOLLOW") == "off" else ["--follow"]
    compose.through("logs", "--tail", "50", *follow, *([service] if service else []))


def _volumes(place: Layout) -> Path:
    """A file that says that volumes of this stack exist, whatever runs."""
    return place.data / "in-volumes"


def _running_mode(place: Layout) -> str:
    """The mode of the last `up` in containers; empty if there was none."""
    path = place.run / "docker.json"
    return str(parsed(path.read_bytes(), path, START_AGAIN)["mode"]) if runs_in_containers(place) else ""

"""The same stack in containers, and the choice between the two."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from quartet_stack.docker import standby as docker_standby
from quartet_stack.docker.compose import COMPOSE_FILE, Compose
from quartet_stack.docker.images import refuse_another
from quartet_stack.errors import StackError, usage
from quartet_stack.layout import REPOSITORY, Layout, locked
from quartet_stack.secrets_store import given_secrets, load_or_create, provider_keys, seal_keys, write_private
from quartet_stack.settings import PORTS, SERVICES, Settings
from sagakit.tokens import public_half

ANSWER_SECONDS = 10
OLDEST_COMPOSE = (2, 24)  # optional files of settings
OLDEST_ENGINE = (25,)  # a health check that is quick at first
WORKERS = tuple(f"{name}-worker" for name in SERVICES)
# what carries the messages -> its container
BROKERS = {"temporal": "temporal", "kafka": "kafka", "sns_sqs": "ministack", "pubsub": "pubsub"}
CHAOS = REPOSITORY / "infra" / "docker" / "chaos.env"
HANDED_ON = ("COORDINATION_MODE", "PROVIDERS", "FAULT_INJECTION", "LOG_LEVEL", *PORTS)
NOT_FOR_CONTAINERS = ("PYTHONPATH", "SERVICE_ROLE")
ROLES = ("all", "api", "worker")

Step = Callable[[str, str], None]  # (what, how far)


@dataclass(frozen=True)
class Choice:
    """Which of the two, and why in one line."""

    docker: bool
    said: str


def choose(wanted: str, place: Layout | None = None, native_runs: bool = False) -> Choice:
    """Follow `STACK`; auto keeps what runs, else takes containers where they can work.

    Raises a usage error when docker is wanted and cannot be had.
    """
    if wanted == "native":
        return Choice(False, "native (STACK=native)")
    if wanted == "auto" and native_runs:
        return Choice(False, "native, because that is what runs; choose with STACK=docker or STACK=native")
    reason = why_not()
    if wanted == "docker":
        if reason:
            raise usage(f"STACK=docker cannot be had: {reason}; use STACK=native")
        return Choice(True, "docker compose (STACK=docker)")
    if reason:
        return native_because(reason)
    if place is not None and running(place):
        return Choice(True, "docker compose, because that is what runs; choose the other with STACK=native")
    return Choice(True, "docker compose; choose the other with STACK=native")


def native_because(reason: str) -> Choice:
    """What auto falls back to."""
    return Choice(False, f"native, because {reason}; choose with STACK=docker or STACK=native")


def why_not() -> str:
    """What stands in the way of containers; empty when nothing does."""
    if not COMPOSE_FILE.exists():
        return "there is no docker-compose.yml"
    if not shutil.which("docker"):
        return "there is no docker command"
    compose = _answers("compose", "version", "--short")
    if _version(compose) < (2,):
        return "docker has no Compose v2"
    if _version(compose) < OLDEST_COMPOSE:
        return f"docker compose {compose} is too old; {'.'.join(map(str, OLDEST_COMPOSE))} is needed"
    engine = _answers("info", "--format", "{{.ServerVersion}}")
    if not engine:
        return "no Docker engine answers"
    if _version(engine) < OLDEST_ENGINE:
        return f"Docker {engine} is too old; {OLDEST_ENGINE[0]} is needed"
    return ""


def _version(said: str) -> tuple[int, ...]:
    """Major and minor; of a local build without a number, as if it were new enough."""
    found = re.match(r"v?(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (99,) if said else ()


def images(settings: Settings, step: Step) -> None:
    """Pull what is not there and build our own; raises `StackError` naming the image that cannot be had."""
    compose = _prepare(settings)
    model = json.loads(compose.output("config", "--format", "json"))
    builds = [service["build"] for service in model["services"].values() if "build" in service]
    wanted = {build["args"]["PYTHON"] for build in builds}
    wanted |= {
        service["image"]
        for service in model["services"].values()
        if "build" not in service and service.get("pull_policy") != "never"
    }
    for image in sorted(wanted):
        if not _answers("image", "inspect", "--format", "{{.Id}}", image):
            step("images", f"pulling {image}")
            done = subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines()
                raise StackError(
                    f"the image {image} cannot be had ({said[-1][:200] if said else 'docker pull failed'})"
                )
        refuse_another(image, _answers("image", "inspect", "--format", '{{join .RepoDigests " "}}', image).split())
    step("images", "building")
    if tail := compose.run("build", report=lambda line: step("images", line), of_interest="] "):
        raise StackError("the images of the services cannot be built:\n  " + "\n  ".join(tail))
    step("images", "ready")


def up(settings: Settings, step: Step) -> list[str]:
    """Start the containers of the mode, from images that are there, and wait until they are healthy."""
    place = settings.layout
    with locked(place.root / "stack.lock", "another make that is changing this stack"):
        compose = _prepare(settings)
        hand_over(place)
        before = _marked(place)
        _record(settings)
        replicas = int(settings["REPLICAS"])
        unwanted = [broker for substrate, broker in BROKERS.items() if substrate != settings.substrate]
        unwanted += WORKERS if replicas == 1 else ()
        if before and before != settings.mode:
            step("services", f"stopping those of {before}")
            compose.run("stop", *SERVICES)
        compose.run("rm", "--stop", "--force", "--volumes", *unwanted)
        write_private(place.run, "docker.json", json.dumps({"mode": settings.mode}))
        write_private(place.data, _volumes(place).name, "")
        docker_standby.bring(settings, _secrets(settings), compose, step)
        scale = [word for name in WORKERS if replicas > 1 for word in ("--scale", f"{name}={replicas - 1}")]
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
            raise StackError("\n".join([*(compose.complaints() or tail[-6:]), "all of it: make logs"]))
        step("containers", "ready")
        return started


def down(place: Layout, volumes: bool) -> bool:
    """Stop and remove the containers of whatever mode runs; False when nothing was ever started in containers."""
    if not _volumes(place).exists() or not (volumes or running(place)):
        return False
    reason = why_not()
    if reason:
        raise StackError(f"this stack is in containers, and they cannot be reached: {reason}")
    compose = Compose(place)
    if tail := compose.run("down", "--remove-orphans", *(["--volumes"] if volumes else [])):
        raise StackError("docker compose down failed:\n  " + "\n  ".join(tail))
    (place.run / "docker.json").unlink(missing_ok=True)
    if volumes:
        _volumes(place).unlink()
    return True


def running(place: Layout) -> bool:
    """Whether the last `up` of this stack went through docker."""
    return (place.run / "docker.json").exists()


def containers(place: Layout, *services: str) -> list[str]:
    """Names of the running containers of these services, in that order."""
    compose = Compose(place)
    found = [compose.output("ps", "--format", "{{.Name}}", service).split() for service in services]
    return [name for names in found for name in names]


def show(place: Layout) -> None:
    """What runs in containers, and the memory it takes."""
    print(f"mode {_marked(place)}, in containers")
    compose = Compose(place)
    compose.through("ps", "--all", "--format", "table {{.Service}}\t{{.Status}}\t{{.Ports}}")
    for line in docker_standby.told(place):
        print(line)
    names = compose.output("ps", "--quiet").split()
    if names:
        subprocess.run(
            ["docker", "stats", "--no-stream", "--format", "table {{.Name}}\t{{.MemUsage}}\t{{.CPUPerc}}", *names],
            check=False,
        )


def logs(place: Layout, environ: Mapping[str, str]) -> None:
    """Follow the logs; `SERVICE` chooses one, `FOLLOW=off` does not wait."""
    compose = Compose(place)
    wanted = environ.get("SERVICE", "")
    known = compose.output("config", "--services").split()
    if wanted and wanted not in known:
        raise usage(f"SERVICE={wanted} has no log; valid: {', '.join(sorted(known))}")
    follow = [] if environ.get("FOLLOW") == "off" else ["--follow"]
    compose.through("logs", "--tail", "50", *follow, *([wanted] if wanted else []))


def _prepare(settings: Settings) -> Compose:
    """Write down what Compose is to know, and return it for the mode."""
    place = settings.layout
    environment = environment_of(settings, _secrets(settings))
    write_private(place.data, "compose.env", _env_file(environment))
    passed_on = {name: value for name, value in settings.passed_on.items() if name not in NOT_FOR_CONTAINERS}
    write_private(place.run, "settings.env", _env_file(passed_on))
    return Compose(place, _profiles(settings), environment)


def hand_over(place: Layout, checkout: Path = REPOSITORY) -> None:
    """Let plain `docker compose` in the checkout mean its default stack; an `.env` of the user's own is left alone."""
    link = checkout / ".env"
    if place.root == checkout / ".stack" and not link.exists():
        link.unlink(missing_ok=True)  # one that points to nothing
        link.symlink_to((place.data / "compose.env").relative_to(checkout))


def environment_of(settings: Settings, secrets: Mapping[str, str]) -> dict[str, str]:
    """The variables of docker-compose.yml. One stack is one project, whatever else runs on this engine."""
    place = settings.layout
    role = settings.passed_on.get("SERVICE_ROLE", "all")
    if role not in ROLES:
        raise usage(f"SERVICE_ROLE={role} is not known; valid: {', '.join(ROLES)}")
    return {
        "COMPOSE_PROJECT_NAME": f"quartet-{sha256(str(place.root).encode()).hexdigest()[:6]}",
        "COMPOSE_PROFILES": ",".join(_profiles(settings)),
        **{name: settings[name] for name in HANDED_ON},
        "SERVICE_ROLE": role,
        "QUARTET_SETTINGS": str(place.run / "settings.env"),
        "TOKEN_PUBLIC_KEYS": public_half(secrets["tokens"]),
        "POSTGRES_PASSWORD": secrets["postgres"],
        **{f"{name.upper()}_DB_PASSWORD": secrets[name] for name in SERVICES},
        **seal_keys(secrets, "order"),  # Compose hands each service what is its own
        **docker_standby.variables(settings, secrets),
        **provider_keys(secrets, "provider"),
        **({**routes(), "TOXIPROXY_PORT": settings["TOXIPROXY_PORT"]} if settings["TOXICS"] == "on" else {}),
    }


def routes() -> dict[str, str]:
    """What leads every service through its proxies: the variables of chaos.env."""
    lines = [line for line in CHAOS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _profiles(settings: Settings) -> list[str]:
    workers, chaos = int(settings["REPLICAS"]) > 1, settings["TOXICS"] == "on"
    standbys = [f"{service}-standby" for service in settings.standbys]
    return [settings.mode, *(["workers"] if workers else []), *(["chaos"] if chaos else []), *standbys]


def _secrets(settings: Settings) -> dict[str, str]:
    return load_or_create(settings.layout, SERVICES) | given_secrets(settings.signing_key)


def _record(settings: Settings) -> None:
    """What tools get from `stack_environment()`: the same as of a native stack, for the same ports are published."""
    from quartet_stack.services import recorded_environment

    environment = {**recorded_environment(settings, _secrets(settings)), "STACK": "docker"}
    record = {"environment": environment, "ports": [], "programs": {}}
    write_private(settings.layout.run, "stack.json", json.dumps(record, indent=1))


def _env_file(values: Mapping[str, str]) -> str:
    for name, value in values.items():
        if "'" in value or "\n" in value:
            raise usage(f"{name} has a quotation mark or a line break, which a file of settings cannot hold")
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def _volumes(place: Layout) -> Path:
    """A mark that volumes of this stack exist, whatever runs."""
    return place.data / "in-volumes"


def _marked(place: Layout) -> str:
    """The mode of the last `up` through docker; empty when there was none."""
    return str(json.loads((place.run / "docker.json").read_text())["mode"]) if running(place) else ""


def _answers(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

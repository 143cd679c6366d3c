"""The files that Compose reads: the variables of docker-compose.yml, and further settings of the services."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from quartet_stack.docker import standby
from quartet_stack.docker.compose import Compose
from quartet_stack.errors import UsageError
from quartet_stack.layout import REPOSITORY, Layout
from quartet_stack.secrets_store import given_secrets, load_or_create, provider_keys, seal_keys, write_private
from quartet_stack.services import recorded_environment
from quartet_stack.settings import PORTS, SERVICES, Settings
from sagakit.tokens import public_half

# what carries the messages -> its container
BROKERS = {"temporal": "temporal", "kafka": "kafka", "sns_sqs": "ministack", "pubsub": "pubsub"}
CHAOS = REPOSITORY / "infra" / "docker" / "chaos.env"
COLLECTOR = "http://collector:4318"
COPIED = ("COORDINATION_MODE", "PROVIDERS", "FAULT_INJECTION", "LOG_LEVEL", *PORTS)
NOT_FOR_CONTAINERS = ("PYTHONPATH", "SERVICE_ROLE")
ROLES = ("all", "api", "worker")


def prepare(settings: Settings) -> Compose:
    """Write the files that Compose reads, and return it with the profiles of the mode."""
    place = settings.layout
    values = variables(settings, stack_secrets(settings))
    write_private(place.data, "compose.env", env_file(values))
    passed_on = {name: value for name, value in settings.passed_on.items() if name not in NOT_FOR_CONTAINERS}
    write_private(place.run, "settings.env", env_file(passed_on))
    return Compose(place, _profiles(settings), values)


def link_env_file(place: Layout, checkout: Path = REPOSITORY) -> None:
    """Let plain `docker compose` in the checkout mean its default stack; the user's own `.env` is left alone."""
    link = checkout / ".env"
    if place.root == checkout / ".stack" and not link.exists():
        link.unlink(missing_ok=True)  # one that points to nothing
        link.symlink_to((place.data / "compose.env").relative_to(checkout))


def variables(settings: Settings, secrets: Mapping[str, str]) -> dict[str, str]:
    """The variables of docker-compose.yml. Each stack is a Compose project of its own.

    Raises:
        UsageError: `SERVICE_ROLE` is not a role, or `TEMPORAL_STORE` not possible in containers.
    """
    if settings["TEMPORAL_STORE"] != "sqlite":
        raise UsageError(f"TEMPORAL_STORE={settings['TEMPORAL_STORE']} runs only natively; set STACK=native")
    place = settings.layout
    role = settings.passed_on.get("SERVICE_ROLE", "all")
    if role not in ROLES:
        raise UsageError(f"SERVICE_ROLE={role} is not known; valid: {', '.join(ROLES)}")
    detours = routes() if settings["TOXICS"] == "on" else {}
    return {
        "COMPOSE_PROJECT_NAME": f"quartet-{sha256(str(place.root).encode()).hexdigest()[:6]}",
        "COMPOSE_PROFILES": ",".join(_profiles(settings)),
        **{name: settings[name] for name in COPIED},
        "SERVICE_ROLE": role,
        "QUARTET_SETTINGS": str(place.run / "settings.env"),
        "TOKEN_PUBLIC_KEYS": public_half(secrets["tokens"]),
        "POSTGRES_PASSWORD": secrets["postgres"],
        **{f"{name.upper()}_DB_PASSWORD": secrets[name] for name in SERVICES},
        **seal_keys(secrets, "order"),  # docker-compose.yml gives each service its own key only
        **standby.variables(settings, secrets, detours),
        **provider_keys(secrets, "provider"),
        **({**detours, "TOXIPROXY_PORT": settings["TOXIPROXY_PORT"]} if detours else {}),
        **({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR} if settings["OBSERVABILITY"] == "1" else {}),
    }


def routes() -> dict[str, str]:
    """The variables of chaos.env, which route every service through its proxies."""
    lines = [line for line in CHAOS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def stack_secrets(settings: Settings) -> dict[str, str]:
    """The secrets of the stack; a signing key in the environment replaces the generated one."""
    return load_or_create(settings.layout, SERVICES) | given_secrets(settings.signing_key)


def record(settings: Settings) -> None:
    """Write what `stack_environment()` returns; it equals that of a native stack, whose ports are published."""
    environment = {**recorded_environment(settings, stack_secrets(settings)), "STACK": "docker"}
    text = json.dumps({"environment": environment, "ports": [], "programs": {}}, indent=1)
    write_private(settings.layout.run, "stack.json", text)


def env_file(values: Mapping[str, str]) -> str:
    """The text of a file of settings.

    Raises:
        UsageError: A value has a quotation mark or a line break, which such a file cannot hold.
    """
    for name, value in values.items():
        if "'" in value or "\n" in value:
            raise UsageError(f"{name} has a quotation mark or a line break, which a file of settings cannot hold")
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def _profiles(settings: Settings) -> list[str]:
    workers, chaos = int(settings["REPLICAS"]) > 1, settings["TOXICS"] == "on"
    standbys = [f"{service}-standby" for service in settings.standbys]
    added = {"workers": workers, "chaos": chaos, "observability": settings["OBSERVABILITY"] == "1"}
    return [settings.mode, *(profile for profile, wanted in added.items() if wanted), *standbys]

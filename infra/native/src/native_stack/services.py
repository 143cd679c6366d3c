"""Our own processes: the four services, the provider sandbox, and the console."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from native_stack.layout import REPOSITORY
from native_stack.postgres import database_url
from native_stack.programs import PROVIDER, SERVICE, Program
from native_stack.readiness import HOST, Check
from native_stack.secrets_store import seal_keys
from native_stack.settings import DEFAULTS, PORTS, SERVICES, Settings

SANDBOX = "provider"
CONSOLE = "console"
SHARED_PACKAGES = ("sagakit", "checkout")


def common_environment(settings: Settings, secrets: Mapping[str, str]) -> dict[str, str]:
    """What every process of ours gets."""
    return {
        "KAFKA_SESSION_TIMEOUT": "3",  # brokers accept no less than 6 by default; ours does
        **settings.passed_on,
        "COORDINATION_MODE": settings.mode,
        "PROVIDERS": settings["PROVIDERS"],
        "REPLICAS": settings["REPLICAS"],
        "FAULT_INJECTION": settings["FAULT_INJECTION"],
        "LOG_LEVEL": settings["LOG_LEVEL"],
        "ROLE": "all",
        "JWT_SECRET": secrets["jwt"],
        **{f"{name.upper()}_URL": url(settings, name) for name in (*SERVICES, SANDBOX)},
        "TEMPORAL_ADDRESS": f"{HOST}:{settings['TEMPORAL_PORT']}",
        "KAFKA_BOOTSTRAP": f"{HOST}:{settings['KAFKA_PORT']}",
        "AWS_ENDPOINT_URL": f"http://{HOST}:{settings['AWS_PORT']}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PUBSUB_EMULATOR_HOST": f"{HOST}:{settings['PUBSUB_PORT']}",
        "PUBSUB_PROJECT": "quartet",
        "PYTHONUNBUFFERED": "1",
    }


def recorded_environment(settings: Settings, secrets: Mapping[str, str]) -> dict[str, str]:
    """What tools of a running stack get from `stack_environment()`."""
    return {
        **common_environment(settings, secrets),
        **{name: settings[name] for name in (*PORTS, *DEFAULTS)},
        "STACK_DIR": settings["STACK_DIR"],
        "CONSOLE_URL": url(settings, CONSOLE),
        **{f"{name.upper()}_DATABASE_URL": _database(settings, secrets, name) for name in SERVICES},
    }


def url(settings: Settings, name: str) -> str:
    return f"http://{HOST}:{settings[f'{name.upper()}_PORT']}"


def programs(settings: Settings, secrets: Mapping[str, str]) -> list[Program]:
    """The services, and the sandbox and the console where there is one to start."""
    return [
        *([sandbox(settings, secrets)] if settings["PROVIDERS"] == "sandbox" else []),
        *(service(settings, secrets, name) for name in SERVICES),
        *([console(settings, secrets)] if importlib.util.find_spec("console_service") else []),
    ]


def service(settings: Settings, secrets: Mapping[str, str], name: str) -> Program:
    """One of the four, with its own database and nobody else's."""
    environment = {
        **common_environment(settings, secrets),
        "SERVICE": name,
        "DATABASE_URL": _database(settings, secrets, name),
        **seal_keys(secrets, name),
    }
    return _python(settings, name, f"{name}_service", SERVICE, environment, int(settings["REPLICAS"]))


def sandbox(settings: Settings, secrets: Mapping[str, str]) -> Program:
    """The payment provider and the carrier: outside of the system, so a change of mode leaves it alone."""
    environment = {
        **{name: value for name, value in settings.passed_on.items() if not name.startswith("SAGA_")},
        "LOG_LEVEL": settings["LOG_LEVEL"],
        "JWT_SECRET": secrets["jwt"],
        "SANDBOX_DATABASE": str(settings.layout.data / "sandbox.db"),
        "PYTHONUNBUFFERED": "1",
    }
    return _python(settings, SANDBOX, "provider_sandbox", PROVIDER, environment)


def console(settings: Settings, secrets: Mapping[str, str]) -> Program:
    """The web page."""
    environment = {**common_environment(settings, secrets), "SERVICE": CONSOLE}
    return _python(settings, CONSOLE, "console_service", SERVICE, environment)


def _python(
    settings: Settings, name: str, package: str, kind: str, environment: Mapping[str, str], replicas: int = 1
) -> Program:
    variable = f"{name.upper()}_PORT"
    port = settings.port(variable)
    return Program(
        name=name,
        kind=kind,
        command=(sys.executable, "-m", package),
        directory=settings.layout.data,
        check=Check("ready", port),
        environment={**environment, "HTTP_HOST": HOST, "HTTP_PORT": str(port)},
        ports={variable: port},
        reads=python_reads(settings),
        replicas=replicas,
        fingerprint=fingerprint(package),
    )


def python_reads(settings: Settings) -> tuple[Path, ...]:
    """What a Python process of this stack has to be able to read."""
    return (Path(sys.executable), Path(os.__file__), REPOSITORY / "infra" / "native", settings.layout.root)


@cache
def fingerprint(package: str) -> str:
    """A digest of the code behind a package, so that changed code counts as a different program."""
    return _digest(path for name in (package, *SHARED_PACKAGES) for path in _sources(name))


def migrations_fingerprint(name: str) -> str:
    """A digest of what decides how the tables of a service look: its migrations and its own package."""
    migrations = sorted((REPOSITORY / "services" / name / "migrations").rglob("*.py"))
    return _digest([*migrations, *_sources(f"{name}_service")])


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(package: str) -> Iterator[Path]:
    found = importlib.util.find_spec(package)
    for folder in found.submodule_search_locations or () if found else ():
        yield from sorted(path for path in Path(folder).rglob("*") if path.suffix in (".py", ".sql", ".json", ".html"))


def _database(settings: Settings, secrets: Mapping[str, str], name: str) -> str:
    return database_url(name, secrets[name], settings.port(f"{name.upper()}_DB_PORT"))

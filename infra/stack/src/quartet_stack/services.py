"""Descriptions of our own programs: the four services, the provider sandbox, the auditor, and the console."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from quartet_stack.layout import REPOSITORY
from quartet_stack.ownership import folders
from quartet_stack.processes.programs import PROVIDER, SERVICE, Program
from quartet_stack.processes.readiness import HOST, Check
from quartet_stack.secrets_store import provider_keys, seal_keys
from quartet_stack.servers import standby, toxiproxy
from quartet_stack.settings import DEFAULTS, PORTS, SERVICES, Settings
from quartet_stack.tokens import SIGNING_KEY
from sagakit.tokens import public_half

SANDBOX = "provider"
SANDBOX_FILE = "sandbox.db"
CONSOLE = "console"
AUDITOR = "auditor"
SHARED_PACKAGES = ("sagakit", "checkout", "checkout_app")


def common_environment(settings: Settings, secrets: Mapping[str, str]) -> dict[str, str]:
    """The variables that every program of ours gets."""
    return {
        "KAFKA_SESSION_TIMEOUT": "3",  # less than 6, the default minimum of brokers; ours accepts it
        **settings.passed_on,
        "COORDINATION_MODE": settings.mode,
        "PROVIDERS": settings["PROVIDERS"],
        "REPLICAS": settings["REPLICAS"],
        "FAULT_INJECTION": settings["FAULT_INJECTION"],
        "LOG_LEVEL": settings["LOG_LEVEL"],
        "ROLE": "all",
        "TOKEN_PUBLIC_KEYS": public_half(secrets["tokens"]),
        **{f"{name.upper()}_URL": url(settings, name) for name in (*SERVICES, SANDBOX, AUDITOR)},
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
    """The variables that tools of a running stack get from `stack_environment()`."""
    return {
        **common_environment(settings, secrets),
        **{name: settings[name] for name in (*PORTS, *DEFAULTS)},
        SIGNING_KEY: secrets["tokens"],
        "STACK_DIR": settings["STACK_DIR"],
        "CONSOLE_URL": url(settings, CONSOLE),
        **toxiproxy.recorded(settings),
        **{f"{name.upper()}_DATABASE_URL": standby.database_url(settings, secrets, name) for name in SERVICES},
    }


def url(settings: Settings, name: str) -> str:
    """The base URL of a service, the sandbox or the console."""
    return f"http://{HOST}:{settings[f'{name.upper()}_PORT']}"


def programs(settings: Settings, secrets: Mapping[str, str], python: Path) -> list[Program]:
    """The services, the sandbox if it is used, the auditor, and the console if it is there; `python` runs them all."""
    return [
        *([sandbox(settings, secrets, python)] if settings["PROVIDERS"] == "sandbox" else []),
        *(service(settings, secrets, name, python) for name in SERVICES),
        auditor(settings, secrets, python),
        *([console(settings, secrets, python)] if importlib.util.find_spec("console_service") else []),
    ]


def service(settings: Settings, secrets: Mapping[str, str], name: str, python: Path) -> Program:
    """One of the four services, which gets access to its own database only."""
    environment = {
        **common_environment(settings, secrets),
        **toxiproxy.detours(settings, name),
        "SERVICE": name,
        "DATABASE_URL": standby.database_url(settings, secrets, name, toxiproxy.database_port(settings, name)),
        **({"STANDBY_TIMEOUT": settings["STANDBY_TIMEOUT"]} if name in settings.standbys else {}),
        **seal_keys(secrets, name),
        **provider_keys(secrets, name),
        **_traced(settings),
    }
    return _program(settings, python, name, f"{name}_service", SERVICE, environment, int(settings["REPLICAS"]))


def _traced(settings: Settings) -> dict[str, str]:
    """The variable that tells where spans are, if any are made."""
    return {"TRACE_FOLDER": str(spans_folder(settings))} if settings["OBSERVABILITY"] == "1" else {}


def spans_folder(settings: Settings) -> Path:
    """The folder of the files with spans: each service, whatever its user, may add one, and everybody may read."""
    folder = settings.layout.data / "spans"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o1777)  # sticky: nobody can remove another's file
    return folder


def sandbox(settings: Settings, secrets: Mapping[str, str], python: Path) -> Program:
    """The payment provider and the carrier: outside of the system, so a change of mode does not restart it."""
    home = folders.home(settings.layout, SANDBOX)[0]
    environment = {
        **{
            name: value
            for name, value in settings.passed_on.items()
            if not name.startswith(("SAGA_", "ADMISSION_", "RETENTION"))
        },
        "FAULT_INJECTION": settings["FAULT_INJECTION"],
        "LOG_LEVEL": settings["LOG_LEVEL"],
        "TOKEN_PUBLIC_KEYS": public_half(secrets["tokens"]),
        **provider_keys(secrets, SANDBOX),
        "SANDBOX_DATABASE": str(home / SANDBOX_FILE),
        "PYTHONUNBUFFERED": "1",
    }
    return _program(settings, python, SANDBOX, "provider_sandbox", PROVIDER, environment)


def auditor(settings: Settings, secrets: Mapping[str, str], python: Path) -> Program:
    """The auditor for operators: it alone reaches all databases, with a role that may only read."""
    urls = {
        f"{name.upper()}_DATABASE_URL": standby.database_url(settings, secrets, name, reads=True) for name in SERVICES
    }
    environment = {
        **urls,
        "LOG_LEVEL": settings["LOG_LEVEL"],
        "PROVIDERS": settings["PROVIDERS"],
        "PROVIDER_URL": url(settings, SANDBOX),
        "TOKEN_PUBLIC_KEYS": public_half(secrets["tokens"]),
        "PYTHONUNBUFFERED": "1",
    }
    return _program(settings, python, AUDITOR, "checkout_audit.service", SERVICE, environment)


def console(settings: Settings, secrets: Mapping[str, str], python: Path) -> Program:
    """The web page."""
    proxy = {name: value for name, value in toxiproxy.recorded(settings).items() if name == "TOXIPROXY_URL"}
    environment = {**common_environment(settings, secrets), **proxy, **_traced(settings), "SERVICE": CONSOLE}
    return _program(settings, python, CONSOLE, "console_service", SERVICE, environment)


def _program(
    settings: Settings,
    python: Path,
    name: str,
    package: str,
    kind: str,
    environment: Mapping[str, str],
    replicas: int = 1,
) -> Program:
    variable = f"{name.upper()}_PORT"
    port = settings.port(variable)
    return Program(
        name=name,
        kind=kind,
        command=(str(python), "-m", package),
        directory=Path("/"),  # they store data in their databases only
        check=Check("ready", port),
        environment={**environment, "HTTP_HOST": HOST, "HTTP_PORT": str(port)},
        ports={variable: port},
        replicas=replicas,
        fingerprint=fingerprint(package.partition(".")[0]),
    )


@cache
def fingerprint(package: str) -> str:
    """A digest of the code that a package runs, so that changed code counts as a different program."""
    return _digest(path for name in (package, *SHARED_PACKAGES) for path in _sources(name))


def migrations_fingerprint(name: str) -> str:
    """A digest of all that determines the tables of a service: its migrations and its own package."""
    migrations = sorted((REPOSITORY / "services" / name / "migrations").rglob("*.py"))
    return _digest([*migrations, *_sources(f"{name}_service")])


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(package: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    for folder in spec.submodule_search_locations or () if spec else ():
        yield from sorted(path for path in Path(folder).rglob("*") if path.suffix in (".py", ".sql", ".json", ".html"))

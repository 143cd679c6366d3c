"""Settings of a stack: names, defaults, checks, and the settings that a running stack was started with.

Standard library only, so that an invalid value is reported before anything is installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quartet_stack import saved
from quartet_stack.errors import StackError, UsageError
from quartet_stack.layout import Layout, layout
from quartet_stack.service_settings import service_settings

SERVICES = ("order", "payment", "inventory", "shipping")

PORTS = {
    "CONSOLE_PORT": 8000,
    "ORDER_PORT": 8001,
    "PAYMENT_PORT": 8002,
    "INVENTORY_PORT": 8003,
    "SHIPPING_PORT": 8004,
    "PROVIDER_PORT": 8005,
    "AUDITOR_PORT": 8006,
    "TEMPORAL_PORT": 7233,
    "TEMPORAL_UI_PORT": 8233,
    "KAFKA_PORT": 9092,
    "KAFKA_CONTROLLER_PORT": 9093,
    "AWS_PORT": 4566,
    "PUBSUB_PORT": 8085,
    "ORDER_DB_PORT": 5441,
    "PAYMENT_DB_PORT": 5442,
    "INVENTORY_DB_PORT": 5443,
    "SHIPPING_DB_PORT": 5444,
    "ORDER_STANDBY_PORT": 5451,
    "PAYMENT_STANDBY_PORT": 5452,
    "INVENTORY_STANDBY_PORT": 5453,
    "SHIPPING_STANDBY_PORT": 5454,
}

# Used with TOXICS=on only: Toxiproxy's own interface, its listener for each dependency of each service, and Kafka's
# listener for each service. No two differ by a multiple of 100, so that stacks whose offsets are do not collide
TOXIC_PORTS = {
    "TOXIPROXY_PORT": 8474,
    **{f"{name.upper()}_DB_TOXIC_PORT": 5461 + number for number, name in enumerate(SERVICES)},
    **{f"{name.upper()}_BROKER_TOXIC_PORT": 5475 + number for number, name in enumerate(SERVICES)},
    "PAYMENT_PROVIDER_TOXIC_PORT": 5482,
    "SHIPPING_PROVIDER_TOXIC_PORT": 5484,
    **{f"KAFKA_{name.upper()}_PORT": 9094 + number for number, name in enumerate(SERVICES)},
}

# Used with TEMPORAL_STORE=postgresql only: the database of Temporal's server, and its services; the frontend's own port
# is TEMPORAL_PORT. The same holds for their offsets
TEMPORAL_STORE_PORTS = {
    "TEMPORAL_DB_PORT": 5445,
    **{f"TEMPORAL_{name}_PORT": 7234 + number for number, name in enumerate(("HISTORY", "MATCHING", "WORKER"))},
    **{
        f"TEMPORAL_{name}_MEMBERSHIP_PORT": 6937 + number
        for number, name in enumerate(("FRONTEND", "HISTORY", "MATCHING", "WORKER"))
    },
}

CHOICES = {
    "STACK": ("auto", "docker", "native"),
    "PROVIDERS": ("sandbox", "instant"),
    "FAULT_INJECTION": ("off", "on"),
    "TEMPORAL_UI": ("on", "off"),
    "TEMPORAL_STORE": ("sqlite", "postgresql"),
    "TOXICS": ("off", "on"),
    "OBSERVABILITY": ("0", "1"),
}

DEFAULTS = {
    "COORDINATION_MODE": "temporal",
    "STACK": "auto",
    "PROVIDERS": "sandbox",
    "REPLICAS": "1",
    "FAULT_INJECTION": "off",
    "LOG_LEVEL": "INFO",
    "TEMPORAL_UI": "on",
    "TEMPORAL_STORE": "sqlite",
    "TOXICS": "off",
    "OBSERVABILITY": "0",
    "READY_TIMEOUT": "90",
    "PORT_OFFSET": "0",
    "DB_STANDBY": "off",
    "STANDBY_TIMEOUT": "5",
}

SECRET_WORDS = ("SECRET", "PASSWORD", "TOKEN", "DATABASE_URL", "ACCESS_KEY", "SEAL_KEY", "PROVIDER_KEY")


@dataclass(frozen=True)
class Setting:
    """One effective value and where it comes from: `default`, `environment` or `computed`."""

    value: str
    source: str


@dataclass(frozen=True)
class Settings:
    """All effective settings of one stack; `passed_on` are those of the services that only they know."""

    layout: Layout
    values: Mapping[str, Setting]
    passed_on: Mapping[str, str]
    signing_key: str = field(default="", repr=False)  # TOKEN_SIGNING_KEY of the environment, else empty

    def __getitem__(self, name: str) -> str:
        return self.values[name].value

    def port(self, name: str) -> int:
        """A port as a number, such as that of `ORDER_PORT`."""
        return int(self[name])

    @property
    def mode(self) -> str:
        """The canonical name of the coordination mode."""
        return self["COORDINATION_MODE"]

    @property
    def standbys(self) -> tuple[str, ...]:
        """The services whose database has a standby."""
        return () if self["DB_STANDBY"] == "off" else tuple(self["DB_STANDBY"].split(","))

    @property
    def substrate(self) -> str:
        """What carries the messages: temporal, kafka, sns_sqs, pubsub or inmemory."""
        from sagakit.modes import MODES

        return str(MODES[self.mode].substrate)


def resolve(environ: Mapping[str, str]) -> Settings:
    """Take each setting from the environment, else its default, and check them all.

    Raises:
        UsageError: A value is not valid; the message is one line that lists what is.
    """
    values = {name: _chosen(environ, name, default) for name, default in DEFAULTS.items()}
    for name, valid in CHOICES.items():
        if values[name].value not in valid:
            raise UsageError(f"{name}={values[name].value} is not known; valid: {', '.join(valid)}")
    values["COORDINATION_MODE"] = _mode(values["COORDINATION_MODE"])
    offset = _number(values["PORT_OFFSET"].value, "PORT_OFFSET", -65535, 65535)
    ports = _ports(values)
    for name, default in ports.items():
        source = "computed" if offset else "default"
        values[name] = _chosen(environ, name, str(default + offset), source)
        _number(values[name].value, name, 1, 65535)
    _distinct_ports(values, ports)
    _number(values["REPLICAS"].value, "REPLICAS", 1, 64)
    _number(values["READY_TIMEOUT"].value, "READY_TIMEOUT", 1, 3600)
    _number(values["STANDBY_TIMEOUT"].value, "STANDBY_TIMEOUT", 1, 60)
    values["DB_STANDBY"] = _standbys(values["DB_STANDBY"])
    place = layout(environ)
    values["STACK_DIR"] = Setting(str(place.root), "environment" if environ.get("STACK_DIR") else "default")
    passed_on = service_settings(environ, known=values)
    return Settings(place, values, passed_on, environ.get("TOKEN_SIGNING_KEY", ""))


def stack_environment(stack_dir: str | Path | None = None) -> dict[str, str]:
    """The settings that the last `up` of a stack resolved, secrets included.

    Args:
        stack_dir: The folder of the stack; by default `STACK_DIR`, or `.stack`.

    Returns:
        Every variable that all services got (`COORDINATION_MODE`, `ORDER_URL`, ...), the ports, `ORDER_DATABASE_URL`
        and the like of the other services, and `TOKEN_SIGNING_KEY`, which signs tokens and which no service gets.

    Raises:
        StackError: There is no stack in that folder, or it is an older version's, another user's, or damaged.
    """
    place = layout({"STACK_DIR": str(stack_dir)} if stack_dir else os.environ)
    try:
        record = saved.record(place)
    except PermissionError:
        raise StackError(f"{place.record} belongs to the user who started that stack; run this as that user") from None
    if not record:
        raise StackError(f"there is no stack in {place.root} yet; start one with: make up")
    environment = {str(name): str(value) for name, value in record["environment"].items()}
    if "TOKEN_SIGNING_KEY" not in environment:
        raise StackError(f"an older version started the stack in {place.root}; to update it: make up")
    return environment


def is_secret(name: str) -> bool:
    """Whether the value of this setting must not be shown."""
    return any(word in name for word in SECRET_WORDS)


def _chosen(environ: Mapping[str, str], name: str, default: str, source: str = "default") -> Setting:
    value = environ.get(name, "").strip()
    return Setting(value, "environment") if value else Setting(default, source)


def _mode(given: Setting) -> Setting:
    from sagakit.modes import resolve as canonical

    try:
        name = str(canonical(given.value))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Setting(name, given.source)


def _ports(values: Mapping[str, Setting]) -> dict[str, int]:
    """The ports that a stack with these settings has, with their defaults."""
    toxics = TOXIC_PORTS if values["TOXICS"].value == "on" else {}
    store = TEMPORAL_STORE_PORTS if values["TEMPORAL_STORE"].value == "postgresql" else {}
    return PORTS | toxics | store


def _standbys(given: Setting) -> Setting:
    """The services in their usual order, separated by commas; `off` for none.

    Raises:
        UsageError: A name is not that of a service.
    """
    names = [name.strip() for name in given.value.split(",") if name.strip()]
    if names == ["off"]:
        return given
    if names == ["all"]:
        names = list(SERVICES)
    if unknown := [name for name in names if name not in SERVICES] or ([] if names else [""]):
        raise UsageError(f"DB_STANDBY={unknown[0]} is not known; valid: off, all, or some of {','.join(SERVICES)}")
    return Setting(",".join(name for name in SERVICES if name in names), given.source)


def _number(text: str, name: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"{name}={text} is not a number; valid: {least} to {most}") from None
    if not least <= number <= most:
        raise UsageError(f"{name}={text} is out of range; valid: {least} to {most}")
    return number


def _distinct_ports(values: Mapping[str, Setting], ports: Iterable[str]) -> None:
    taken: dict[str, str] = {}
    for name in ports:
        other = taken.setdefault(values[name].value, name)
        if other != name:
            raise UsageError(f"{name} and {other} are both {values[name].value}; set one of them to another port")

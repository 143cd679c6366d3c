"""Toxiproxy between each service and its dependencies: its database, the broker, the provider. Only with TOXICS=on.

Each service has a listener of its own for each of its dependencies, so that a fault between two of them affects only
these two. Tools of a running stack (such as the auditor) connect to the dependencies directly.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.ownership.folders import home
from quartet_stack.ownership.readable import readable
from quartet_stack.processes.programs import PROXY, Program
from quartet_stack.processes.readiness import HOST, Check
from quartet_stack.servers.components import PINS, Component, Report, build_with_go
from quartet_stack.settings import SERVICES, Settings

MODULE = PINS / "toxiproxy"
PACKAGE = "github.com/Shopify/toxiproxy/v2/cmd/server"
BINARY = "toxiproxy-server"
OLDEST = (2, 5)  # the first version with metrics for each proxy
CALL_PROVIDERS = ("payment", "shipping")
# what carries the messages -> its program, the variable with its address, and the form of that address
BROKERS = {
    "temporal": ("temporal", "TEMPORAL_ADDRESS", "{}"),
    "kafka": ("kafka", "KAFKA_BOOTSTRAP", "{}"),
    "sns_sqs": ("ministack", "AWS_ENDPOINT_URL", "http://{}"),
    "pubsub": ("pubsub", "PUBSUB_EMULATOR_HOST", "{}"),
}


@dataclass(frozen=True)
class Link:
    """One listener: what the service sends to port `listen` goes to port `upstream` of the dependency.

    `variable` sets `listen`. `setting` is the variable in which the service gets the listener's address, in the form
    `form`; it is None for the database, whose port is in a URL.
    """

    service: str
    dependency: str
    variable: str
    listen: int
    upstream: int
    setting: str | None = None
    form: str = "{}"

    @property
    def name(self) -> str:
        """The name of the proxy in Toxiproxy, such as `payment.payment-db`."""
        return f"{self.service}.{self.dependency}"


def links(settings: Settings) -> list[Link]:
    """All listeners of a stack with these settings; none with TOXICS=off."""
    if settings["TOXICS"] == "off":
        return []
    return [link for name in SERVICES for link in _links_of(settings, name)]


def detours(settings: Settings, service: str) -> dict[str, str]:
    """The variables that route this service through its listeners, except that of its database."""
    of_service = [link for link in links(settings) if link.service == service]
    return {link.setting: link.form.format(f"{HOST}:{link.listen}") for link in of_service if link.setting}


def database_port(settings: Settings, service: str) -> int:
    """The port at which this service reaches its database: that of its listener, or the database's own."""
    ports = [link.listen for link in links(settings) if (link.service, link.setting) == (service, None)]
    return ports[0] if ports else settings.port(f"{service.upper()}_DB_PORT")


def recorded(settings: Settings) -> dict[str, str]:
    """The variables for tools of a running stack: the URL of Toxiproxy's interface, and the names of its proxies."""
    if not (listeners := links(settings)):
        return {}
    return {
        "TOXIPROXY_URL": f"http://{HOST}:{settings['TOXIPROXY_PORT']}",
        "TOXIPROXY_PROXIES": ",".join(link.name for link in listeners),
    }


def prepare(settings: Settings, report: Report) -> Program:
    """Toxiproxy: the installed one, or one built from its Go module. Each start begins without toxics."""
    binary = readable(_installed() or COMPONENT.ensure(settings.layout, report) / BINARY, report)
    data, user = home(settings.layout, "toxiproxy")
    text = json.dumps([_proxy(link) for link in links(settings)], indent=1)
    user.write(data, "proxies.json", text)
    port = settings.port("TOXIPROXY_PORT")
    command = (str(binary), "-host", HOST, "-port", str(port), "-config", str(data / "proxies.json"), "-proxy-metrics")
    return Program(
        name="toxiproxy",
        kind=PROXY,
        command=command,
        directory=data,
        check=Check("http", port, "/version"),
        ports={"TOXIPROXY_PORT": port, **{link.variable: link.listen for link in links(settings)}},
        environment={"LOG_LEVEL": "error", "HOME": str(data)},
        fingerprint=text,
    )


def _links_of(settings: Settings, service: str) -> list[Link]:
    def listen(role: str) -> tuple[str, int]:
        variable = f"{service.upper()}_{role}_TOXIC_PORT"
        return variable, settings.port(variable)

    listeners = [Link(service, f"{service}-db", *listen("DB"), settings.port(f"{service.upper()}_DB_PORT"))]
    if settings.substrate in BROKERS:
        broker, setting, form = BROKERS[settings.substrate]
        listeners.append(Link(service, broker, *listen("BROKER"), _broker_port(settings, service), setting, form))
    if settings["PROVIDERS"] == "sandbox" and service in CALL_PROVIDERS:
        upstream = settings.port("PROVIDER_PORT")
        listeners.append(Link(service, "provider", *listen("PROVIDER"), upstream, "PROVIDER_URL", "http://{}"))
    return listeners


def _broker_port(settings: Settings, service: str) -> int:
    """Kafka tells its clients an address to use, so it has a listener per service, which names that service's proxy."""
    variables = {"temporal": "TEMPORAL_PORT", "sns_sqs": "AWS_PORT", "pubsub": "PUBSUB_PORT"}
    return settings.port(variables.get(settings.substrate, f"KAFKA_{service.upper()}_PORT"))


def _proxy(link: Link) -> Mapping[str, object]:
    return {
        "name": link.name,
        "listen": f"{HOST}:{link.listen}",
        "upstream": f"{HOST}:{link.upstream}",
        "enabled": True,
    }


def _installed() -> Path | None:
    """The `toxiproxy-server` in PATH, if any; one without a version number counts as new enough.

    Raises:
        StackError: It is too old.
    """
    path = shutil.which(BINARY)
    if not path:
        return None
    output = subprocess.run([path, "-version"], capture_output=True, text=True, check=False, timeout=10).stdout
    version = re.search(r"(\d+)\.(\d+)", output)
    if version and tuple(map(int, version.groups())) < OLDEST:
        raise StackError(f"{path} is {version[0]}, and TOXICS=on needs {OLDEST[0]}.{OLDEST[1]} or newer; update it")
    return Path(path)


def _install(target: Path, report: Report) -> None:
    absent = (
        f"TOXICS=on needs Toxiproxy, and there is neither {BINARY} nor go in PATH; install Go 1.23 or newer, which"
        f" builds it, or {BINARY} {OLDEST[0]}.{OLDEST[1]} or newer; or set TOXICS=off"
    )
    build_with_go({target / BINARY: PACKAGE}, "Toxiproxy", MODULE, absent, report)


COMPONENT = Component("toxiproxy", MODULE / "go.mod", _install, checked_by=MODULE / "go.sum")

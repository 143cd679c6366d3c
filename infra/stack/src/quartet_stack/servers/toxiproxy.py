"""Toxiproxy between each service and what it stands on: its database, the broker, the provider. Only with TOXICS=on.

Each service has a listener of its own for each of its dependencies, so that a fault between two of them is felt by
these two alone. Tools of a running stack (the auditor, a poisoner) go to the dependencies directly.
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
from quartet_stack.servers.components import PINS, Component, Report, run
from quartet_stack.settings import SERVICES, Settings

MODULE = PINS / "toxiproxy"
PACKAGE = "github.com/Shopify/toxiproxy/v2/cmd/server"
BUILD = {"GOFLAGS": "-mod=readonly -trimpath -buildvcs=false", "CGO_ENABLED": "0"}
BINARY = "toxiproxy-server"
OLDEST = (2, 5)  # the first with metrics of each proxy
CALL_PROVIDERS = ("payment", "shipping")
# what carries the messages -> its program, the variable that tells a service where it is, and how that is written
BROKERS = {
    "temporal": ("temporal", "TEMPORAL_ADDRESS", "{}"),
    "kafka": ("kafka", "KAFKA_BOOTSTRAP", "{}"),
    "sns_sqs": ("ministack", "AWS_ENDPOINT_URL", "http://{}"),
    "pubsub": ("pubsub", "PUBSUB_EMULATOR_HOST", "{}"),
}


@dataclass(frozen=True)
class Link:
    """One listener: what the service sends to port `listen` goes to port `upstream` of the dependency.

    `variable`: what sets `listen`. `setting`: the variable that the service is given the listener's address in, None
    for the database.
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
        """What Toxiproxy calls it, e.g. `payment.payment-db`."""
        return f"{self.service}.{self.dependency}"


def links(settings: Settings) -> list[Link]:
    """All listeners of a stack with these settings; none with TOXICS=off."""
    if settings["TOXICS"] == "off":
        return []
    return [link for name in SERVICES for link in _links_of(settings, name)]


def detours(settings: Settings, service: str) -> dict[str, str]:
    """The variables that lead this service through its listeners, all but the database's."""
    of_service = [link for link in links(settings) if link.service == service]
    return {link.setting: link.form.format(f"{HOST}:{link.listen}") for link in of_service if link.setting}


def database_port(settings: Settings, service: str) -> int:
    """Where this service finds its database: behind its listener, or directly."""
    found = [link.listen for link in links(settings) if (link.service, link.setting) == (service, None)]
    return found[0] if found else settings.port(f"{service.upper()}_DB_PORT")


def recorded(settings: Settings) -> dict[str, str]:
    """What tools of a running stack are told: where Toxiproxy's interface is, and the names of its proxies."""
    if not (found := links(settings)):
        return {}
    return {
        "TOXIPROXY_URL": f"http://{HOST}:{settings['TOXIPROXY_PORT']}",
        "TOXIPROXY_PROXIES": ",".join(one.name for one in found),
    }


def prepare(settings: Settings, report: Report) -> Program:
    """The proxy, an installed one or built from its Go module. Without toxics after each start of its own."""
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

    found = [Link(service, f"{service}-db", *listen("DB"), settings.port(f"{service.upper()}_DB_PORT"))]
    if settings.substrate in BROKERS:
        broker, setting, form = BROKERS[settings.substrate]
        found.append(Link(service, broker, *listen("BROKER"), _broker_port(settings, service), setting, form))
    if settings["PROVIDERS"] == "sandbox" and service in CALL_PROVIDERS:
        upstream = settings.port("PROVIDER_PORT")
        found.append(Link(service, "provider", *listen("PROVIDER"), upstream, "PROVIDER_URL", "http://{}"))
    return found


def _broker_port(settings: Settings, service: str) -> int:
    """Kafka tells its clients where to go on, so it listens for each service, and names that service's proxy."""
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
    """A `toxiproxy-server` in PATH that is new enough; one built without a number is taken to be."""
    found = shutil.which(BINARY)
    if not found:
        return None
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False, timeout=10).stdout
    number = re.search(r"(\d+)\.(\d+)", said)
    if number and tuple(map(int, number.groups())) < OLDEST:
        raise StackError(f"{found} is {number[0]}, and TOXICS=on needs {OLDEST[0]}.{OLDEST[1]} or newer; update it")
    return Path(found)


def _install(target: Path, report: Report) -> None:
    go = shutil.which("go")
    if not go:
        raise StackError(
            f"TOXICS=on needs Toxiproxy, and there is neither {BINARY} nor go in PATH; install Go 1.23 or newer, from"
            f" which it is built, or {BINARY} {OLDEST[0]}.{OLDEST[1]} or newer; or do without: TOXICS=off"
        )
    report("building it from its Go module")
    run([go, "build", "-o", str(target / BINARY), PACKAGE], "Toxiproxy", report, BUILD, MODULE)


COMPONENT = Component("toxiproxy", MODULE / "go.mod", _install, checked_by=MODULE / "go.sum")

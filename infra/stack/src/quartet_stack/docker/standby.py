"""Standbys in containers: the same steps and the same SQL as natively; only stopping and creating a server differ.

A server is a container with a volume. `ORDER_DB_FOLLOWS` or `ORDER_STANDBY_FOLLOWS` names the server that it follows,
and an empty volume is filled with a copy of that server (`infra/docker/standby.sh`).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from quartet_stack.docker.compose import Compose, written_settings
from quartet_stack.errors import StackError, UsageError
from quartet_stack.layout import Layout
from quartet_stack.secrets_store import write_private
from quartet_stack.servers import promotion, replication, standby
from quartet_stack.servers.postgres import role
from quartet_stack.settings import SERVICES, Settings

Step = Callable[[str, str], None]  # (what, how far)


class ContainerLayout(Layout):
    """A stack in containers: its data differ from those of the native stack, and so does the file about standbys."""

    @property
    def standbys(self) -> Path:
        """The file that says which server is the primary."""
        return self.data / "standbys-in-containers.json"


@dataclass(frozen=True)
class Containers:
    """How a promotion stops, fences and recreates a server that is a container."""

    compose: Compose

    def silence(self, place: Layout, service: str, server: str) -> None:
        """Kill the container: all its processes end at once, and Docker does not start it again."""
        self._do("kill", f"{service}-{server}")

    def fence(self, place: Layout, service: str) -> None:
        """Delete the volume of a replaced primary, if its promotion is under way."""
        mark = standby.mark(place, service)
        if mark.fenced:
            self._empty(f"{service}-{mark.other}")
            _write(place, _follows(place, service))

    def remake(self, settings: Settings, secrets: Mapping[str, str], service: str) -> None:
        """Start the server that is not the primary, with an empty volume, which it fills with a copy."""
        name = f"{service}-{standby.mark(settings.layout, service).other}"
        self._empty(name)
        self._do(
            "up", "--detach", "--no-build", "--no-deps", "--wait", "--wait-timeout", settings["READY_TIMEOUT"], name
        )

    def _empty(self, name: str) -> None:
        self._do("rm", "--stop", "--force", name)
        volume = f"{self.compose.project}_{name}"
        done = subprocess.run(
            ["docker", "volume", "rm", "--force", volume], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StackError(f"the volume {volume} could not be removed: {done.stderr.strip()[-300:]}")

    def _do(self, *words: str) -> None:
        if tail := self.compose.run(*words):
            raise StackError(f"docker compose {words[0]} failed:\n  " + "\n  ".join(tail))


def variables(settings: Settings, secrets: Mapping[str, str], detours: Mapping[str, str]) -> dict[str, str]:
    """The variables of docker-compose.standby.yml.

    `detours`: `<SERVICE>_DB_AT`, the address of the proxy before the server `db`, if there is one. Migrations take the
    direct way.

    Raises:
        UsageError: `DB_STANDBY` leaves out a database whose standby was promoted: it would lose its primary.
    """
    place = ContainerLayout(settings.layout.root)
    for service in SERVICES:
        if service not in settings.standbys and standby.mark(place, service).primary != "db":
            raise UsageError(f"{service}-standby is the primary of {service}, so DB_STANDBY has to name {service}")
    if not settings.standbys:
        return {"DB_STANDBY": "off"}
    values = {"DB_STANDBY": settings["DB_STANDBY"], "REPLICATION_PASSWORD": secrets["replication"]}
    for service in SERVICES:
        has_standby, direct = service in settings.standbys, f"{service}-db:5432"
        ways = {"DATABASE_URL": detours.get(f"{service.upper()}_DB_AT", direct), "MIGRATION_URL": direct}
        for variable, address in ways.items():
            values[f"{service.upper()}_{variable}"] = _url(secrets, service, address, has_standby)
        values[f"{service.upper()}_STANDBY_TIMEOUT"] = settings["STANDBY_TIMEOUT"] if has_standby else ""
        values |= _follows(place, service) if has_standby else {}
    return values


def _url(secrets: Mapping[str, str], service: str, address: str, has_standby: bool) -> str:
    """The URL of a database: of the server at `address`, or of both, of which it asks for the one that takes writes."""
    name = role(service)
    login, (host, _, port) = f"{name}:{secrets[service]}", address.partition(":")
    if not has_standby:
        return f"postgresql+asyncpg://{login}@{address}/{name}"
    both = f"host={host},{service}-standby&port={port},5432"
    return f"postgresql+asyncpg://{login}@/{name}?{both}&target_session_attrs=read-write"


def _follows(place: Layout, service: str) -> dict[str, str]:
    """Which server each of the two follows; the primary follows none."""
    mark = standby.mark(place, service)
    name, titles = service.upper(), {"db": "DB", "standby": "STANDBY"}
    return {
        f"{name}_{titles[mark.primary]}_FOLLOWS": "",
        f"{name}_{titles[mark.other]}_FOLLOWS": f"{service}-{mark.primary}",
    }


def set_up(settings: Settings, secrets: Mapping[str, str], compose: Compose, step: Step) -> None:
    """Start the databases with their standbys, and let commits wait for these standbys and for no others.

    Raises:
        StackError: A server did not become healthy, or a standby does not follow its primary.
    """
    settings = replace(settings, layout=ContainerLayout(settings.layout.root))
    place = settings.layout
    if not settings.standbys and not any(standby.mark(place, service).confirmed for service in SERVICES):
        return
    servers = [f"{service}-db" for service in SERVICES] + [f"{service}-standby" for service in settings.standbys]
    containers, seconds = Containers(compose), settings["READY_TIMEOUT"]
    for service in settings.standbys:
        containers.fence(place, service)
    step("databases", "starting")
    if tail := compose.run("up", "--detach", "--no-build", "--wait", "--wait-timeout", seconds, *servers):
        raise StackError("\n".join([*(compose.complaints() or tail[-6:]), "for the complete logs: make logs"]))
    replication.settle(settings, secrets, step)
    replication.attach_all(settings, secrets, lambda service: containers.remake(settings, secrets, service), step)


def promote(place: Layout, service: str, report: Callable[[str], None]) -> None:
    """Do what `promotion.promote` does, with containers."""
    promotion.promote(place, service, report, Containers(Compose(place)))


def describe(place: Layout) -> list[str]:
    """Return what `promotion.describe` returns, of containers."""
    return promotion.describe(ContainerLayout(place.root))


def _write(place: Layout, changes: Mapping[str, str]) -> None:
    values = {**written_settings(place), **changes}
    write_private(place.data, "compose.env", "".join(f"{name}='{value}'\n" for name, value in values.items()))

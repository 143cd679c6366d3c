"""Temporal's own server over PostgreSQL, built from its Go module: what TEMPORAL_STORE=postgresql runs.

One process has the four services of the server. Their state is in a PostgreSQL cluster of its own, `temporal-db`, whose
commits are as durable as those of the services' databases. There is no user interface: that is another program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from quartet_stack.ownership.folders import home
from quartet_stack.ownership.readable import readable
from quartet_stack.processes.programs import SUBSTRATE, Program
from quartet_stack.processes.readiness import HOST, Check
from quartet_stack.secrets_store import read
from quartet_stack.servers import postgres
from quartet_stack.servers.components import PINS, Component, Report, build_with_go
from quartet_stack.settings import TEMPORAL_STORE_PORTS, Settings

MODULE: Final = PINS / "temporal-server"
START: Final = MODULE / "start.sh"
PACKAGES: Final = {
    "temporal-server": "go.temporal.io/server/cmd/server",
    "temporal-sql-tool": "go.temporal.io/server/cmd/tools/sql",
}
"""The programs, and the packages that they are built from."""
SERVICES: Final = ("FRONTEND", "HISTORY", "MATCHING", "WORKER")
"""Those of the server, which are all in its one process."""
DATABASE: Final = "temporal"
"""The name of the cluster, which is made like that of a service."""
DATABASE_PORT: Final = "TEMPORAL_DB_PORT"
VISIBILITY: Final = "temporal_visibility"
"""The second database of the cluster, which has the list of workflows."""
SHARDS: Final = 4
"""Of histories; it cannot be changed while there are data."""
CONNECTIONS: Final = {"default": 20, "visibility": 10}
"""Of each service, at most: as many as in the configuration that Temporal publishes for containers."""
DYNAMIC: Final[Mapping[str, int]] = {
    # the default limits a history shard to 20 tasks a second, which delays each step by 50 ms
    "history.transferProcessorMaxPollRPS": 2000,
    # one partition for each task queue: of four, three only pass tasks and polls on to the first
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
}
"""What is configured in the development server too; what each of them bought is in docs/performance.md."""
SAME: Final[Mapping[str, int]] = {"history.hostLevelCacheMaxSize": 8096, "frontend.namespaceRPS.visibility": 100}
"""What the development server has by itself."""


def used(settings: Settings) -> bool:
    """Whether this server is what carries the messages of a stack with these settings."""
    return settings.substrate == "temporal" and settings["TEMPORAL_STORE"] == "postgresql"


def fetch(settings: Settings, report: Report) -> Path:
    """The folder of the server and its tool for tables."""
    return readable(COMPONENT.ensure(settings.layout, report), report)


def databases(settings: Settings, secrets: Mapping[str, str], binaries: Path) -> list[Program]:
    """The server of its databases, which are created if they are missing; none if this server is not used."""
    if not used(settings):
        return []
    postgres.create(settings.layout, binaries, DATABASE, secrets, more=(VISIBILITY,))
    most = len(SERVICES) * sum(CONNECTIONS.values()) + 10
    port = settings.port(DATABASE_PORT)
    return [postgres.program(settings.layout, binaries, DATABASE, port, more={"max_connections": str(most)})]


def prepare(settings: Settings, report: Report) -> Program:
    """The server, which first brings its tables up to date."""
    binaries = fetch(settings, report)
    data, user = home(settings.layout, "temporal")
    dynamic = json.dumps({name: [{"value": value}] for name, value in {**DYNAMIC, **SAME}.items()}, indent=1)
    user.write(data, "dynamic.yaml", dynamic)
    text = f"# enable-template\n{json.dumps(configuration(settings, data), indent=1)}\n"  # JSON is YAML
    user.write(data, "server.yaml", text)
    words = (binaries, data / "server.yaml", postgres.role(DATABASE), VISIBILITY)
    return Program(
        name="temporal",
        kind=SUBSTRATE,
        command=("/bin/sh", str(readable(START, report)), *map(str, words)),
        directory=data,
        check=Check("tcp", settings.port("TEMPORAL_PORT")),
        ports={name: settings.port(name) for name in ("TEMPORAL_PORT", *TEMPORAL_STORE_PORTS) if name != DATABASE_PORT},
        environment={
            "HOME": str(data),
            "SQL_HOST": HOST,
            "SQL_PORT": settings[DATABASE_PORT],
            "SQL_USER": postgres.role(DATABASE),
            "SQL_PASSWORD": read(settings.layout)["temporal"],
        },
        fingerprint=text + dynamic + START.read_text(),
    )


def configuration(settings: Settings, data: Path) -> dict[str, object]:
    """The server's configuration; it reads the password from its environment."""

    def store(kind: str, name: str) -> dict[str, object]:
        return {
            "sql": {
                "pluginName": "postgres12",
                "databaseName": name,
                "connectAddr": f"{HOST}:{settings[DATABASE_PORT]}",
                "connectProtocol": "tcp",
                "user": postgres.role(DATABASE),
                "password": "{{ env `SQL_PASSWORD` }}",
                "maxConns": CONNECTIONS[kind],
                "maxIdleConns": CONNECTIONS[kind],
                "maxConnLifetime": "1h",
            }
        }

    def service(name: str) -> dict[str, object]:
        grpc = settings.port("TEMPORAL_PORT" if name == "FRONTEND" else f"TEMPORAL_{name}_PORT")
        membership = settings.port(f"TEMPORAL_{name}_MEMBERSHIP_PORT")
        return {"rpc": {"grpcPort": grpc, "membershipPort": membership, "bindOnIP": HOST}}

    frontend = f"{HOST}:{settings['TEMPORAL_PORT']}"
    return {
        "log": {"stdout": True, "level": "warn"},
        "persistence": {
            "numHistoryShards": SHARDS,
            "defaultStore": "default",
            "visibilityStore": "visibility",
            "datastores": {
                "default": store("default", postgres.role(DATABASE)),
                "visibility": store("visibility", VISIBILITY),
            },
        },
        "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": HOST}},
        "services": {name.lower(): service(name) for name in SERVICES},
        "clusterMetadata": {
            "enableGlobalNamespace": False,
            "failoverVersionIncrement": 10,
            "masterClusterName": "active",
            "currentClusterName": "active",
            "clusterInformation": {
                "active": {
                    "enabled": True,
                    "initialFailoverVersion": 1,
                    "rpcName": "frontend",
                    "rpcAddress": frontend,
                }
            },
        },
        "dcRedirectionPolicy": {"policy": "noop"},
        "publicClient": {"hostPort": frontend},
        "dynamicConfigClient": {"filepath": str(data / "dynamic.yaml"), "pollInterval": "60s"},
    }


def _install(target: Path, report: Report) -> None:
    absent = (
        "TEMPORAL_STORE=postgresql builds Temporal's server from its Go module, and there is no go in PATH;"
        " install Go 1.26 or newer, or set TEMPORAL_STORE=sqlite"
    )
    programs = {target / name: package for name, package in PACKAGES.items()}
    build_with_go(programs, "Temporal's server", MODULE, absent, report, ["-ldflags=-s -w"])


COMPONENT: Final = Component("temporal-server", MODULE / "go.mod", _install, checked_by=MODULE / "go.sum")

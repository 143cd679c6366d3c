"""TOXICS=on: each service, and only it, reaches each of its dependencies through a listener of its own."""

import json
import os
import re
from pathlib import Path

import pytest

from quartet_stack import services
from quartet_stack.errors import StackError
from quartet_stack.secrets_store import load_or_create
from quartet_stack.servers import kafka, toxiproxy
from quartet_stack.servers.components import Component
from quartet_stack.settings import SERVICES, TOXIC_PORTS, Settings, resolve
from sagakit.modes import MODES


def settings_of(tmp_path: Path, **given: str) -> Settings:
    return resolve({"STACK_DIR": str(tmp_path / "stack"), "TOXICS": "on", **given})


def environment_of(settings: Settings, name: str) -> dict[str, str]:
    settings.layout.data.mkdir(parents=True, exist_ok=True)
    return dict(services.service(settings, load_or_create(settings.layout, SERVICES), name, Path("python")).environment)


def test_without_toxics_there_is_no_proxy(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, TOXICS="off")
    assert toxiproxy.links(settings) == []
    assert environment_of(settings, "order")["DATABASE_URL"].endswith("@127.0.0.1:5441/order_service")
    assert toxiproxy.recorded(settings) == {}


@pytest.mark.parametrize("mode", MODES)
def test_a_service_gets_only_the_addresses_of_its_own_listeners(mode: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, COORDINATION_MODE=mode)
    links = toxiproxy.links(settings)
    broker, setting, form = toxiproxy.BROKERS[MODES[mode].substrate]
    assert {link.name for link in links} == {
        *(f"{name}.{name}-db" for name in SERVICES),
        *(f"{name}.{broker}" for name in SERVICES),
        "payment.provider",
        "shipping.provider",
    }
    at = {link.name: link.listen for link in links}
    assert len(set(at.values())) == len(links)
    for name in SERVICES:
        environment = environment_of(settings, name)
        assert f"@127.0.0.1:{at[f'{name}.{name}-db']}/" in environment["DATABASE_URL"]
        assert environment[setting] == form.format(f"127.0.0.1:{at[f'{name}.{broker}']}")
    for name in toxiproxy.CALL_PROVIDERS:
        assert environment_of(settings, name)["PROVIDER_URL"] == f"http://127.0.0.1:{at[f'{name}.provider']}"


def test_tools_of_a_running_stack_bypass_the_proxies(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, COORDINATION_MODE="kafka", PORT_OFFSET="100")
    settings.layout.data.mkdir(parents=True)
    recorded = services.recorded_environment(settings, load_or_create(settings.layout, SERVICES))
    assert recorded["KAFKA_BOOTSTRAP"] == "127.0.0.1:9192"
    assert recorded["PAYMENT_DATABASE_URL"].endswith(":5542/payment_service")
    assert recorded["TOXIPROXY_URL"] == "http://127.0.0.1:8574"
    assert "payment.kafka" in recorded["TOXIPROXY_PROXIES"].split(",")


def test_kafka_listens_for_each_service_and_sends_it_on_through_its_own_proxy(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, COORDINATION_MODE="kafka")
    properties = kafka.properties(settings)
    listeners = dict(one.split("://") for one in properties["listeners"].split(","))
    advertised = dict(one.split("://") for one in properties["advertised.listeners"].split(","))
    at = {link.service: link for link in toxiproxy.links(settings) if link.dependency == "kafka"}
    for name in SERVICES:
        assert listeners[name.upper()] == f"127.0.0.1:{at[name].upstream}"
        assert advertised[name.upper()] == f"127.0.0.1:{at[name].listen}"
    assert listeners["PLAINTEXT"] == advertised["PLAINTEXT"] == "127.0.0.1:9092"
    assert set(listeners) == {one.split(":")[0] for one in properties["listener.security.protocol.map"].split(",")}
    assert kafka.properties(settings_of(tmp_path, TOXICS="off"))["listeners"].count("://") == 2


def test_the_proxy_listens_on_this_machine_only_and_has_every_listener(
    open_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Component, "ensure", lambda *_: open_tmp_path)
    monkeypatch.setattr(toxiproxy, "_installed", lambda: None)
    settings = settings_of(open_tmp_path, COORDINATION_MODE="kafka")
    settings.layout.data.mkdir(parents=True)
    program = toxiproxy.prepare(settings, lambda text: None)
    assert program.command[1:5] == ("-host", "127.0.0.1", "-port", "8474")
    proxies = json.loads((settings.layout.data / "toxiproxy" / "proxies.json").read_text())
    assert all(proxy["listen"].startswith("127.0.0.1:") for proxy in proxies)
    assert {int(proxy["listen"].split(":")[1]) for proxy in proxies} | {8474} == set(program.ports.values())


@pytest.mark.parametrize("name", TOXIC_PORTS)
def test_the_ports_of_the_listeners_are_settings(name: str, tmp_path: Path) -> None:
    assert settings_of(tmp_path, PORT_OFFSET="100").port(name) == TOXIC_PORTS[name] + 100
    assert settings_of(tmp_path, **{name: "7001"}).port(name) == 7001
    with pytest.raises(StackError, match=f"{name} and ORDER_PORT are both 8001"):
        settings_of(tmp_path, **{name: "8001"})


def test_without_go_and_toxiproxy_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Component, "ensure", lambda self, place, report: self.install(tmp_path, report))
    with pytest.raises(StackError, match=r"neither toxiproxy-server nor go in PATH; install Go .*TOXICS=off"):
        toxiproxy.prepare(settings_of(tmp_path), lambda text: None)


@pytest.mark.parametrize(("said", "taken"), [("2.12.0", True), ("git", True), ("2.4.0", False)])
def test_an_installed_toxiproxy_is_used_if_it_is_new_enough(
    said: str, taken: bool, open_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = open_tmp_path / "bin" / "toxiproxy-server"
    binary.parent.mkdir()
    binary.write_text(f"#!/bin/sh\necho toxiproxy-server version {said}\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    settings = settings_of(open_tmp_path)
    settings.layout.data.mkdir(parents=True)
    if taken:
        assert toxiproxy.prepare(settings, lambda text: None).command[0] == str(binary)
    else:
        with pytest.raises(StackError, match=r"is 2\.4, and TOXICS=on needs 2\.5 or newer"):
            toxiproxy.prepare(settings, lambda text: None)


def test_the_proxy_is_built_from_locked_modules_only(tmp_path: Path, go_notes: Path) -> None:
    toxiproxy._install(tmp_path, lambda text: None)
    folder, flags, *words = go_notes.read_text().split(" ", 2)
    assert (folder, flags) == (str(toxiproxy.MODULE), "-mod=readonly")
    assert toxiproxy.PACKAGE in words[0]
    locked = (toxiproxy.MODULE / "go.sum").read_text()
    required = re.findall(r"^\t(\S+) (v\S+)", (toxiproxy.MODULE / "go.mod").read_text(), flags=re.MULTILINE)
    assert ("github.com/Shopify/toxiproxy/v2", "v2.12.0") in required
    assert [one for one in required if f"{one[0]} {one[1]} h1:" not in locked] == []

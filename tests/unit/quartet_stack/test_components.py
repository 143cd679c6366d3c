"""Components are fetched once, completely or not at all; a failure says what to do."""

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest

from quartet_stack import services
from quartet_stack.docker import choice
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.secrets_store import load_or_create, read, write_private
from quartet_stack.servers import components, kafka, pubsub
from quartet_stack.servers.components import Component, Report
from quartet_stack.settings import SERVICES, is_secret, resolve
from sagakit.sealing import checked


class Shelf(Layout):
    """A layout whose downloads are its own."""

    @property
    def components(self) -> Path:
        return self.root / "components"


def quiet(text: str) -> None:
    """Report to nobody."""


def test_a_component_is_fetched_once_and_again_when_its_pin_changes(tmp_path: Path) -> None:
    fetched: list[Path] = []

    def install(target: Path, report: Report) -> None:
        target.mkdir(parents=True)
        fetched.append(target)

    pin = tmp_path / "requirements.lock"
    pin.write_text("thing==1")
    component = Component("thing", pin, install)
    first = component.ensure(Shelf(tmp_path), quiet)
    assert component.ensure(Shelf(tmp_path), quiet) == first
    pin.write_text("thing==2")
    assert component.ensure(Shelf(tmp_path), quiet) != first
    assert len(fetched) == 2


def test_a_failed_fetch_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    def install(target: Path, report: Report) -> None:
        target.mkdir(parents=True)
        raise StackError("the network is down")

    pin = tmp_path / "pin"
    pin.write_text("1")
    component = Component("thing", pin, install)
    with pytest.raises(StackError):
        component.ensure(Shelf(tmp_path), quiet)
    assert not component.folder(Shelf(tmp_path)).exists()


def jars(libs: Path) -> None:
    """Files with the listed names and other contents."""
    libs.mkdir(parents=True)
    for line in kafka.DIGESTS.read_text().splitlines():
        (libs / line.split()[1]).write_text("not that jar")


def test_the_jars_that_are_listed_are_of_the_pinned_versions() -> None:
    names = [line.split()[1] for line in kafka.DIGESTS.read_text().splitlines()]
    pom = kafka.POM.read_text()
    assert f"kafka_2.13-{re.findall('<kafka>(.+)</kafka>', pom)[0]}.jar" in names
    assert f"log4j-slf4j-impl-{re.findall('<log4j>(.+)</log4j>', pom)[0]}.jar" in names


def test_a_jar_that_was_changed_is_named_and_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka.shutil, "which", lambda name: "mvn")
    monkeypatch.setattr(kafka, "run", lambda command, *_: jars(Path(command[5].removeprefix("-DoutputDirectory="))))
    first = kafka.DIGESTS.read_text().split()[1]
    with pytest.raises(
        StackError, match=rf"(?s)Kafka was fetched, but its files differ from .*jars\.sha256.*{first} has sha256"
    ):
        kafka.COMPONENT.ensure(Shelf(tmp_path), quiet)
    assert not kafka.COMPONENT.folder(Shelf(tmp_path)).exists()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.jar": "a"}, ""),
        ({"a.jar": "b"}, "a.jar has sha256"),
        ({}, "a.jar is missing"),
        ({"a.jar": "a", "b.jar": "b"}, "b.jar is not listed"),
    ],
    ids=["as listed", "changed", "missing", "one more"],
)
def test_every_file_is_compared_with_its_digest(files: dict[str, str], said: str, tmp_path: Path) -> None:
    digests = tmp_path / "list"
    digests.write_text(f"{hashlib.sha256(b'a').hexdigest()}  a.jar\n")
    folder = tmp_path / "libs"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    if not said:
        components.verify(folder, digests, "Kafka")
        return
    with pytest.raises(StackError, match=said):
        components.verify(folder, digests, "Kafka")


def test_other_digests_are_another_component(tmp_path: Path) -> None:
    """A download that was checked against another list, or not at all, is not used."""
    pin, digests = tmp_path / "pin", tmp_path / "list"
    pin.write_text("1")
    digests.write_text("1")
    component = Component("thing", pin, lambda target, report: None, checked_by=digests)
    before = component.folder(Shelf(tmp_path))
    digests.write_text("2")
    assert component.folder(Shelf(tmp_path)) != before


def test_a_failing_installer_is_quoted_with_what_to_do() -> None:
    command = [sys.executable, "-c", "print('no such host'); raise SystemExit(3)"]
    with pytest.raises(StackError) as failed:
        components.run(command, "Kafka", quiet)
    assert all(word in str(failed.value) for word in ("Kafka", "ended with status 3", "no such host", "try again"))


def test_secrets_are_generated_once_and_are_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    first = load_or_create(layout, SERVICES)
    assert load_or_create(layout, SERVICES) == first
    assert (
        len({first[name] for name in (*SERVICES, "tokens", "postgres", "provider_payment", "provider_shipping")}) == 8
    )
    assert layout.secrets.stat().st_mode & 0o777 == 0o600


def test_keys_for_sealing_are_added_to_the_secrets_of_an_older_stack(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    load_or_create(layout, SERVICES)
    before = {name: value for name, value in read(layout).items() if not name.startswith("seal_")}
    write_private(layout.secrets.parent, layout.secrets.name, json.dumps(before))
    made = load_or_create(layout, SERVICES)
    assert made.keys() - before.keys() == {"seal_payment", "seal_shipping"}
    assert before.items() <= made.items()
    assert made == load_or_create(layout, SERVICES)
    assert checked(made["seal_payment"]) != checked(made["seal_shipping"])


def test_each_service_gets_its_own_keys_and_tools_get_none(tmp_path: Path) -> None:
    settings = resolve({"STACK_DIR": str(tmp_path)})
    secrets = load_or_create(settings.layout, SERVICES)
    keys = {f"SEAL_KEY_{name.upper()}": secrets[f"seal_{name}"] for name in ("payment", "shipping")}
    wanted = {"order": set(keys), "payment": {"SEAL_KEY_PAYMENT"}, "shipping": {"SEAL_KEY_SHIPPING"}}
    for program in services.programs(settings, secrets, Path("python")):
        given = {name: value for name, value in program.environment.items() if name.startswith("SEAL_")}
        assert given == {name: keys[name] for name in wanted.get(program.name, ())}
    assert not any(key in services.recorded_environment(settings, secrets).values() for key in keys.values())
    assert all(is_secret(name) for name in keys)


@pytest.mark.parametrize("switch", ["on", "off"])
def test_faults_can_be_set_in_the_services_and_in_the_sandbox_alike(tmp_path: Path, switch: str) -> None:
    settings = resolve({"STACK_DIR": str(tmp_path), "FAULT_INJECTION": switch})
    programs = services.programs(settings, load_or_create(Layout(tmp_path), SERVICES), Path("python"))
    breakable = [program for program in programs if program.name != "auditor"]
    assert {program.environment["FAULT_INJECTION"] for program in breakable} == {switch}


def test_kafka_binds_this_machine_only_and_returns_soon_after_a_kill(tmp_path: Path) -> None:
    properties = kafka.properties(resolve({"STACK_DIR": str(tmp_path), "PORT_OFFSET": "100"}))
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:9192,CONTROLLER://127.0.0.1:9193"
    assert properties["broker.session.timeout.ms"] == "3000"
    assert properties["auto.create.topics.enable"] == "false"


def test_without_an_emulator_the_error_names_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_JAR", raising=False)
    monkeypatch.setattr(pubsub, "_sdk_roots", lambda: iter(()))
    with pytest.raises(StackError, match="gcloud components install"):
        pubsub.find_jar()


def test_docker_that_is_not_possible_is_a_usage_error_and_auto_goes_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "why_not", lambda: "no Docker engine answers")
    with pytest.raises(StackError) as refused:
        choice.choose("docker")
    assert refused.value.status == 2
    decision = choice.choose("auto")
    assert not decision.in_containers
    assert "no Docker engine answers" in decision.explanation
    assert "STACK=docker" in decision.explanation

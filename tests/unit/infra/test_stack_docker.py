"""STACK=docker and STACK=auto, without an engine."""

import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from quartet_stack.commands import lifecycle
from quartet_stack.docker import containers as docker
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.secrets_store import load_or_create
from quartet_stack.settings import PORTS, SERVICES, Settings, resolve, stack_environment
from sagakit.tokens import public_half
from tests.keys import PUBLIC_KEY, SIGNING_KEY


def settings(place: Path, **values: str) -> Settings:
    return resolve({"STACK_DIR": str(place), **values})


def test_auto_keeps_the_stack_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "why_not", lambda: "")
    place = Layout(tmp_path)
    assert docker.choose("auto", place).docker
    choice = docker.choose("auto", place, native_runs=True)
    assert not choice.docker
    assert "because that is what runs" in choice.said
    assert docker.choose("docker", place, native_runs=True).docker


def test_auto_goes_native_and_says_which_image_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_to_be_had(settings: Settings, step: docker.Step) -> None:
        raise StackError("the image postgres:17 cannot be had (connection\nrefused)")

    monkeypatch.setattr(docker, "why_not", lambda: "")
    monkeypatch.setattr(docker, "images", nothing_to_be_had)
    console = Console(quiet=True)
    choice = lifecycle._choose(settings(tmp_path), console)
    assert not choice.docker
    assert "the image postgres:17 cannot be had (connection refused)" in choice.said
    assert "\n" not in choice.said


@pytest.mark.parametrize(
    ("compose", "engine", "reason"),
    [
        ("", "28.2.2", "docker has no Compose v2"),
        ("1.29.2", "28.2.2", "docker has no Compose v2"),
        ("v2.20.3", "28.2.2", "docker compose v2.20.3 is too old; 2.24 is needed"),
        ("2.40.3", "", "no Docker engine answers"),
        ("2.40.3", "24.0.7", "Docker 24.0.7 is too old; 25 is needed"),
        ("2.24.0", "25.0.0", ""),
        ("dev", "28.2.2+dfsg1", ""),
    ],
)
def test_what_stands_in_the_way_of_containers_is_said(
    compose: str, engine: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/docker")
    monkeypatch.setattr(docker, "_answers", lambda *words: compose if words[0] == "compose" else engine)
    assert docker.why_not() == reason


def test_compose_gets_every_secret_and_port_and_one_project_per_stack(tmp_path: Path) -> None:
    first = settings(tmp_path / "a", COORDINATION_MODE="kafka", PORT_OFFSET="100")
    secrets = load_or_create(first.layout, SERVICES)
    environment = docker.environment_of(first, secrets)
    assert environment["COMPOSE_PROFILES"] == environment["COORDINATION_MODE"] == "kafka-choreography"
    assert all(environment[name] == str(default + 100) for name, default in PORTS.items())
    assert len({environment[f"{name.upper()}_DB_PASSWORD"] for name in SERVICES}) == len(SERVICES)
    assert environment["TOKEN_PUBLIC_KEYS"] == public_half(secrets["tokens"])
    assert secrets["tokens"] not in environment.values(), "what signs is in no container"
    assert environment["PROVIDER_KEY_PAYMENT"] == secrets["provider_payment"] != environment["PROVIDER_KEY_SHIPPING"]
    assert environment["SEAL_KEY_PAYMENT"] == secrets["seal_payment"] != environment["SEAL_KEY_SHIPPING"]
    second = docker.environment_of(settings(tmp_path / "b", REPLICAS="3"), secrets)
    assert second["COMPOSE_PROJECT_NAME"] != environment["COMPOSE_PROJECT_NAME"]
    assert second["COMPOSE_PROFILES"] == "temporal-orchestration,workers"


def test_toxics_lead_every_service_through_its_proxies(tmp_path: Path) -> None:
    chosen = settings(tmp_path, TOXICS="on", PORT_OFFSET="100")
    secrets = load_or_create(chosen.layout, SERVICES)
    environment = docker.environment_of(chosen, secrets)
    assert environment["COMPOSE_PROFILES"] == "temporal-orchestration,chaos"
    assert environment["PAYMENT_DB_AT"] == "toxiproxy:15442"
    assert environment["TOXIPROXY_PORT"] == "8574"
    assert "PAYMENT_DB_AT" not in docker.environment_of(settings(tmp_path), secrets)


def test_the_services_with_a_port_can_leave_consuming_to_workers(tmp_path: Path) -> None:
    chosen = settings(tmp_path, SERVICE_ROLE="api")
    secrets = load_or_create(chosen.layout, SERVICES)
    assert docker.environment_of(chosen, secrets)["SERVICE_ROLE"] == "api"
    assert docker.environment_of(settings(tmp_path), secrets)["SERVICE_ROLE"] == "all"
    with pytest.raises(StackError, match="valid: all, api, worker"):
        docker.environment_of(settings(tmp_path, SERVICE_ROLE="boss"), secrets)


def test_a_given_secret_wins(tmp_path: Path) -> None:
    given = settings(tmp_path, TOKEN_SIGNING_KEY=SIGNING_KEY)
    docker._prepare(given)
    text = (tmp_path / "data" / "compose.env").read_text()
    assert f"TOKEN_PUBLIC_KEYS='{PUBLIC_KEY}'" in text
    docker._record(given)
    assert stack_environment(tmp_path)["TOKEN_SIGNING_KEY"] == SIGNING_KEY
    for folder in ("run/settings.env", "data/compose.env"):
        assert SIGNING_KEY not in (tmp_path / folder).read_text()


def test_files_for_compose_are_private_and_leave_out_what_is_of_this_machine(tmp_path: Path) -> None:
    chosen = settings(tmp_path, SAGA_DEADLINE="12", PYTHONPATH="/somewhere")
    docker._prepare(chosen)
    assert (tmp_path / "run" / "settings.env").read_text() == "SAGA_DEADLINE='12'\n"
    assert (tmp_path / "data" / "compose.env").stat().st_mode & 0o777 == 0o600


def test_a_value_that_a_file_of_settings_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="SAGA_DEADLINE has a quotation mark") as refused:
        docker._env_file({"SAGA_DEADLINE": "it's"})
    assert refused.value.status == 2


def test_tools_find_the_stack_in_containers_where_they_find_a_native_one(tmp_path: Path) -> None:
    chosen = settings(tmp_path, COORDINATION_MODE="pubsub", PORT_OFFSET="300")
    docker._record(chosen)
    environment = stack_environment(tmp_path)
    password = load_or_create(chosen.layout, SERVICES)["inventory"]
    assert environment["STACK"] == "docker"
    assert environment["ORDER_URL"] == "http://127.0.0.1:8301"
    assert f":{password}@127.0.0.1:5743/inventory_service" in environment["INVENTORY_DATABASE_URL"]


def test_data_in_volumes_is_not_forgotten_while_the_engine_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "why_not", lambda: "no Docker engine answers")
    place = Layout(tmp_path)
    assert not docker.down(place, volumes=True)
    docker._prepare(settings(tmp_path))  # as auto does before it falls back
    assert not docker.down(place, volumes=True)
    docker._volumes(place).touch()
    with pytest.raises(StackError, match="no Docker engine answers"):
        docker.down(place, volumes=True)
    assert (tmp_path / "data" / "secrets.json").exists()


def test_compose_finds_its_file_clean_for_every_mode(tmp_path: Path) -> None:
    """Where the command is installed; no engine is needed."""
    if docker._answers("compose", "version", "--short") == "":
        pytest.skip("docker compose is not installed")
    from sagakit.modes import MODES

    for mode in MODES:
        if MODES[mode].substrate not in docker.BROKERS:
            continue
        docker._prepare(settings(tmp_path, COORDINATION_MODE=mode))
        done = subprocess.run(
            [*docker.Compose(Layout(tmp_path), [mode])._words, "config", "--quiet"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_plain_compose_means_the_default_stack_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    link, place = tmp_path / ".env", Layout(tmp_path / ".stack")
    docker.hand_over(Layout(tmp_path / ".stack" / "another"), tmp_path)
    assert not link.is_symlink()
    for _ in range(2):
        docker.hand_over(place, tmp_path)
        assert link.readlink() == Path(".stack/data/compose.env")
    link.unlink()
    link.write_text("COMPOSE_PROFILES=mine\n")
    docker.hand_over(place, tmp_path)
    assert link.read_text() == "COMPOSE_PROFILES=mine\n"

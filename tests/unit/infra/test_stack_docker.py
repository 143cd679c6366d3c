"""STACK=docker and STACK=auto, without an engine."""

import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from quartet_stack.commands import lifecycle
from quartet_stack.docker import choice, containers, environment
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.secrets_store import load_or_create
from quartet_stack.settings import PORTS, SERVICES, Settings, resolve, stack_environment
from sagakit.tokens import public_half
from tests.keys import PUBLIC_KEY, SIGNING_KEY


def settings(place: Path, **values: str) -> Settings:
    return resolve({"STACK_DIR": str(place), **values})


def test_auto_keeps_the_stack_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "why_not", lambda: "")
    place = Layout(tmp_path)
    assert choice.choose("auto", place).in_containers
    decision = choice.choose("auto", place, native_runs=True)
    assert not decision.in_containers
    assert "because a native stack runs" in decision.explanation
    assert choice.choose("docker", place, native_runs=True).in_containers


def test_auto_goes_native_and_says_which_image_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(settings: Settings, step: containers.Step) -> None:
        raise StackError("the image postgres:17 could not be pulled (connection\nrefused)")

    monkeypatch.setattr(choice, "why_not", lambda: "")
    monkeypatch.setattr(containers, "images", refused)
    console = Console(quiet=True)
    decision = lifecycle._choose(settings(tmp_path), console)
    assert not decision.in_containers
    assert "the image postgres:17 could not be pulled (connection refused)" in decision.explanation
    assert "\n" not in decision.explanation


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
def test_the_reason_against_containers_is_reported(
    compose: str, engine: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/docker")
    monkeypatch.setattr(choice, "answer", lambda *words: compose if words[0] == "compose" else engine)
    assert choice.why_not() == reason


def test_compose_gets_every_secret_and_port_and_one_project_per_stack(tmp_path: Path) -> None:
    first = settings(tmp_path / "a", COORDINATION_MODE="kafka", PORT_OFFSET="100")
    secrets = load_or_create(first.layout, SERVICES)
    values = environment.variables(first, secrets)
    assert values["COMPOSE_PROFILES"] == values["COORDINATION_MODE"] == "kafka-choreography"
    assert all(values[name] == str(default + 100) for name, default in PORTS.items())
    assert len({values[f"{name.upper()}_DB_PASSWORD"] for name in SERVICES}) == len(SERVICES)
    assert values["TOKEN_PUBLIC_KEYS"] == public_half(secrets["tokens"])
    assert secrets["tokens"] not in values.values(), "what signs is in no container"
    assert values["PROVIDER_KEY_PAYMENT"] == secrets["provider_payment"] != values["PROVIDER_KEY_SHIPPING"]
    assert values["SEAL_KEY_PAYMENT"] == secrets["seal_payment"] != values["SEAL_KEY_SHIPPING"]
    second = environment.variables(settings(tmp_path / "b", REPLICAS="3"), secrets)
    assert second["COMPOSE_PROJECT_NAME"] != values["COMPOSE_PROJECT_NAME"]
    assert second["COMPOSE_PROFILES"] == "temporal-orchestration,workers"


def test_toxics_route_every_service_through_its_proxies(tmp_path: Path) -> None:
    chosen = settings(tmp_path, TOXICS="on", PORT_OFFSET="100")
    secrets = load_or_create(chosen.layout, SERVICES)
    values = environment.variables(chosen, secrets)
    assert values["COMPOSE_PROFILES"] == "temporal-orchestration,chaos"
    assert values["PAYMENT_DB_AT"] == "toxiproxy:15442"
    assert values["TOXIPROXY_PORT"] == "8574"
    assert "PAYMENT_DB_AT" not in environment.variables(settings(tmp_path), secrets)


def test_services_with_a_port_can_leave_consuming_to_workers(tmp_path: Path) -> None:
    chosen = settings(tmp_path, SERVICE_ROLE="api")
    secrets = load_or_create(chosen.layout, SERVICES)
    assert environment.variables(chosen, secrets)["SERVICE_ROLE"] == "api"
    assert environment.variables(settings(tmp_path), secrets)["SERVICE_ROLE"] == "all"
    with pytest.raises(StackError, match="valid: all, api, worker"):
        environment.variables(settings(tmp_path, SERVICE_ROLE="boss"), secrets)


def test_a_given_secret_wins(tmp_path: Path) -> None:
    given = settings(tmp_path, TOKEN_SIGNING_KEY=SIGNING_KEY)
    environment.prepare(given)
    text = (tmp_path / "data" / "compose.env").read_text()
    assert f"TOKEN_PUBLIC_KEYS='{PUBLIC_KEY}'" in text
    environment.record(given)
    assert stack_environment(tmp_path)["TOKEN_SIGNING_KEY"] == SIGNING_KEY
    for folder in ("run/settings.env", "data/compose.env"):
        assert SIGNING_KEY not in (tmp_path / folder).read_text()


def test_files_for_compose_are_private_and_leave_out_settings_of_this_machine(tmp_path: Path) -> None:
    chosen = settings(tmp_path, SAGA_DEADLINE="12", PYTHONPATH="/somewhere")
    environment.prepare(chosen)
    assert (tmp_path / "run" / "settings.env").read_text() == "SAGA_DEADLINE='12'\n"
    assert (tmp_path / "data" / "compose.env").stat().st_mode & 0o777 == 0o600


def test_a_value_that_a_file_of_settings_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="SAGA_DEADLINE has a quotation mark") as refused:
        environment.env_file({"SAGA_DEADLINE": "it's"})
    assert refused.value.status == 2


def test_tools_find_the_stack_in_containers_where_they_find_a_native_one(tmp_path: Path) -> None:
    chosen = settings(tmp_path, COORDINATION_MODE="pubsub", PORT_OFFSET="300")
    environment.record(chosen)
    values = stack_environment(tmp_path)
    password = load_or_create(chosen.layout, SERVICES)["inventory"]
    assert values["STACK"] == "docker"
    assert values["ORDER_URL"] == "http://127.0.0.1:8301"
    assert f":{password}@127.0.0.1:5743/inventory_service" in values["INVENTORY_DATABASE_URL"]


def test_data_in_volumes_are_not_forgotten_while_the_engine_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "why_not", lambda: "no Docker engine answers")
    place = Layout(tmp_path)
    assert not containers.down(place, volumes=True)
    environment.prepare(settings(tmp_path))  # as auto does before it falls back
    assert not containers.down(place, volumes=True)
    containers._volumes(place).touch()
    with pytest.raises(StackError, match="no Docker engine answers"):
        containers.down(place, volumes=True)
    assert (tmp_path / "data" / "secrets.json").exists()


def test_compose_accepts_its_file_for_every_mode(tmp_path: Path) -> None:
    """Runs if the command is installed; needs no engine. With what shows metrics and traces."""
    if choice.answer("compose", "version", "--short") == "":
        pytest.skip("docker compose is not installed")
    from sagakit.modes import MODES

    for mode in MODES:
        if MODES[mode].substrate not in environment.BROKERS:
            continue
        prepared = environment.prepare(settings(tmp_path, COORDINATION_MODE=mode, OBSERVABILITY="1"))
        done = subprocess.run(
            [*prepared._words, "config", "--quiet"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_plain_compose_means_the_default_stack_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    link, place = tmp_path / ".env", Layout(tmp_path / ".stack")
    environment.link_env_file(Layout(tmp_path / ".stack" / "another"), tmp_path)
    assert not link.is_symlink()
    for _ in range(2):
        environment.link_env_file(place, tmp_path)
        assert link.readlink() == Path(".stack/data/compose.env")
    link.unlink()
    link.write_text("COMPOSE_PROFILES=mine\n")
    environment.link_env_file(place, tmp_path)
    assert link.read_text() == "COMPOSE_PROFILES=mine\n"


def test_observability_starts_what_shows_metrics_and_traces_and_sends_spans_there(tmp_path: Path) -> None:
    for wanted, endpoint in (("0", None), ("1", environment.COLLECTOR)):
        chosen = settings(tmp_path, COORDINATION_MODE="kafka", OBSERVABILITY=wanted)
        values = environment.variables(chosen, environment.stack_secrets(chosen))
        assert ("observability" in values["COMPOSE_PROFILES"].split(",")) == (wanted == "1")
        assert values.get("OTEL_EXPORTER_OTLP_ENDPOINT") == endpoint

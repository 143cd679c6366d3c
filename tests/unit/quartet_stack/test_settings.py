"""Settings of the native stack: which values are accepted, and how others are refused."""

import json
from pathlib import Path

import pytest

from quartet_stack import services
from quartet_stack.commands import config, quick
from quartet_stack.errors import StackError
from quartet_stack.secrets_store import given_secrets, load_or_create
from quartet_stack.settings import PORTS, SERVICES, is_secret, resolve, stack_environment
from sagakit.settings import Settings as ServiceSettings
from tests.keys import SIGNING_KEY


def test_defaults_are_the_documented_ones() -> None:
    settings = resolve({})
    assert settings.mode == "temporal-orchestration"
    assert settings.substrate == "temporal"
    assert [settings.port(f"{name.upper()}_PORT") for name in SERVICES] == [8001, 8002, 8003, 8004]
    assert settings.values["ORDER_PORT"].source == "default"


def test_an_alias_becomes_the_canonical_name_and_keeps_its_source() -> None:
    mode = resolve({"COORDINATION_MODE": "kafka"}).values["COORDINATION_MODE"]
    assert (mode.value, mode.source) == ("kafka-choreography", "environment")


@pytest.mark.parametrize(
    ("name", "value", "listed"),
    [
        ("COORDINATION_MODE", "smoke-signals", "temporal"),
        ("STACK", "podman", "auto, docker, native"),
        ("PROVIDERS", "paypal", "sandbox, instant"),
        ("TEMPORAL_UI", "yes", "on, off"),
        ("TEMPORAL_STORE", "mysql", "sqlite, postgresql"),
        ("REPLICAS", "0", "1 to 64"),
        ("ORDER_PORT", "http", "1 to 65535"),
        ("PORT_OFFSET", "70000", "65535"),
    ],
)
def test_an_unknown_value_is_one_line_that_lists_the_valid_ones(name: str, value: str, listed: str) -> None:
    with pytest.raises(StackError) as refused:
        resolve({name: value})
    message = str(refused.value)
    assert refused.value.status == 2
    assert name in message
    assert listed in message
    assert "\n" not in message


def test_the_offset_moves_every_default_and_no_explicit_port() -> None:
    settings = resolve({"PORT_OFFSET": "10000", "ORDER_PORT": "9000"})
    assert settings.port("ORDER_PORT") == 9000
    moved = [name for name in PORTS if name != "ORDER_PORT"]
    assert all(settings.port(name) == PORTS[name] + 10000 for name in moved)
    assert {settings.values[name].source for name in moved} == {"computed"}


def test_an_offset_that_pushes_a_port_out_of_range_is_refused() -> None:
    with pytest.raises(StackError, match="out of range"):
        resolve({"PORT_OFFSET": "60000"})


def test_two_programs_on_one_port_are_refused() -> None:
    with pytest.raises(StackError, match="PAYMENT_PORT and ORDER_PORT"):
        resolve({"PAYMENT_PORT": "8001"})


def test_an_empty_variable_counts_as_not_set() -> None:
    assert resolve({"COORDINATION_MODE": "", "ORDER_PORT": " "}).port("ORDER_PORT") == 8001


def test_settings_of_the_services_are_passed_on_and_ours_are_not() -> None:
    given = {"SAGA_DEADLINE": "30", "TEMPORAL_ACTIVITIES": "local", "TEMPORAL_PORT": "7000", "HOME": "/x", "SAGA_A": ""}
    assert resolve(given).passed_on == {"SAGA_DEADLINE": "30", "TEMPORAL_ACTIVITIES": "local"}


def test_what_the_stack_decides_itself_is_not_shown_as_if_the_environment_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = resolve({"STACK_DIR": str(tmp_path)})
    decided = services.common_environment(settings, load_or_create(settings.layout, SERVICES))
    given = dict.fromkeys(decided.keys() - settings.values.keys() - {"KAFKA_SESSION_TIMEOUT"}, "x")
    assert {"KAFKA_BOOTSTRAP", "PROVIDER_URL", "TEMPORAL_ADDRESS"} <= given.keys()
    assert resolve(given).passed_on == {}
    config.main({"STACK_DIR": str(tmp_path), **given})
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["KAFKA_BOOTSTRAP"] == ["127.0.0.1:9092", "computed"]


def test_every_setting_that_the_stack_does_not_decide_itself_reaches_the_services(tmp_path: Path) -> None:
    def environment(**given: str) -> dict[str, str]:
        settings = resolve({"STACK_DIR": str(tmp_path), "DB_STANDBY": "order", **given})
        secrets = load_or_create(settings.layout, SERVICES)
        return {
            name: value
            for service in SERVICES
            for name, value in services.service(settings, secrets, service, Path("python")).environment.items()
        }

    per_program = {"HTTP_HOST", "HTTP_PORT", "TOXIPROXY_URL"}
    decided = environment().keys() - {"KAFKA_SESSION_TIMEOUT"} | per_program
    free = {name.upper(): "7" for name in ServiceSettings.model_fields if name.upper() not in decided}
    assert {
        "RETRY_MAX",
        "DELIVERY_ATTEMPTS",
        "HTTP_HEADER_MAX",
        "SAGA_DEADLINE",
        "KAFKA_SESSION_TIMEOUT",
    } <= free.keys()
    assert free.items() <= environment(**free).items()


@pytest.mark.parametrize(
    "name",
    [
        *(
            "TOKEN_SIGNING_KEY",
            "ORDER_DATABASE_URL",
            "AWS_SECRET_ACCESS_KEY",
            "PROVIDER_KEY_PAYMENT",
            "SEAL_KEY_PAYMENT",
        ),
    ],
)
def test_secrets_are_recognised_by_name(name: str) -> None:
    assert is_secret(name)
    assert not is_secret("ORDER_URL")


def test_the_environment_of_a_stack_is_what_its_last_up_recorded(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    recorded = {"COORDINATION_MODE": "m", "TOKEN_SIGNING_KEY": SIGNING_KEY}
    (tmp_path / "run" / "stack.json").write_text(json.dumps({"environment": recorded}))
    assert stack_environment(tmp_path) == recorded


def test_a_stack_without_a_signing_key_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stack.json").write_text(json.dumps({"environment": {"JWT_SECRET": "x" * 32}}))
    with pytest.raises(StackError, match="make up"):
        stack_environment(tmp_path)
    with pytest.raises(StackError, match="make up"):
        quick.token({"STACK_DIR": str(tmp_path)})


def test_keys_in_the_callers_environment_reach_no_program(tmp_path: Path) -> None:
    """Neither the signing key, which no program has, nor keys that the stack generates for each program."""
    given = {"TOKEN_SIGNING_KEY": SIGNING_KEY, "PROVIDER_KEY_PAYMENT": "x" * 32, "PROVIDER_TIMEOUT": "3"}
    resolved = resolve(given)
    assert resolved.passed_on == {"PROVIDER_TIMEOUT": "3"}
    assert SIGNING_KEY not in repr(resolved)
    assert given_secrets(resolved.signing_key) == {"tokens": SIGNING_KEY}
    with pytest.raises(StackError, match="TOKEN_SIGNING_KEY") as refused:
        given_secrets("no-key-at-all")
    assert refused.value.status == 2
    assert "no-key-at-all" not in str(refused.value)


def test_without_a_stack_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="make up"):
        stack_environment(tmp_path)


def test_make_config_shows_the_settings_before_the_first_make_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.main({"STACK_DIR": str(tmp_path), "PORT_OFFSET": "100"})
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["ORDER_PORT"] == ["8101", "computed"]
    assert rows["TOKEN_SIGNING_KEY"] == rows["ORDER_DATABASE_URL"] == [config.MASK, "computed"]
    assert not (tmp_path / "data").exists(), "nothing is written"

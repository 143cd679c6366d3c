"""Settings: what is read is valid, what is not says so in one line, and secrets stay secret."""

from __future__ import annotations

import pytest

from sagakit.settings import Settings, SettingsError
from tests.keys import PUBLIC_KEY

SECRET = "a-secret-of-sufficient-length"


def read(**environ: str) -> Settings:
    return Settings.from_env({"TOKEN_PUBLIC_KEYS": PUBLIC_KEY, "PROVIDER_KEY_PAYMENT": SECRET, **environ})


def test_defaults_need_nothing_but_the_secret() -> None:
    settings = read()
    assert settings.coordination_mode == "temporal"
    assert (settings.saga_deadline, settings.batch_max, settings.db_pool) == (30.0, 500, 6)
    assert settings.aws_endpoint_url is None
    assert settings.fault_injection is False


def test_values_are_converted() -> None:
    settings = read(HTTP_PORT="8001", RETRY_MAX="7.5", FAULT_INJECTION="on", LOG_LEVEL="debug", ROLE="worker")
    assert settings.http_port == 8001
    assert settings.retry_max == 7.5
    assert settings.fault_injection is True
    assert (settings.log_level, settings.role) == ("DEBUG", "worker")


def test_an_empty_variable_counts_as_absent() -> None:
    assert read(DB_POOL="", PUBSUB_EMULATOR_HOST="") == read()


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("PROVIDERS", "paypal", "one of sandbox, instant"),
        ("ROLE", "boss", "one of api, worker, all"),
        ("FAULT_INJECTION", "yes", "one of on, off"),
        ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR"),
        ("SAGA_DEADLINE", "soon", "a number of seconds greater than 0"),
        ("SAGA_DEADLINE", "0", "a number of seconds greater than 0"),
        ("SAGA_DEADLINE", "nan", "a number of seconds greater than 0"),
        ("RETENTION", "0", "a number of seconds greater than 0"),
        ("RETRY_MAX", "inf", "a number of seconds greater than 0, at most 600"),
        ("RETRY_MAX", "601", "a number of seconds greater than 0, at most 600"),
        ("RETRY_INITIAL", "1e7", "a number of seconds greater than 0, at most 600"),
        ("DRAIN_TIMEOUT", "1e10", "a number of seconds greater than 0, at most 1000000000"),
        ("RETENTION", "1e12", "a number of seconds greater than 0, at most 1000000000"),
        ("BATCH_MAX", "0", "a whole number from 1 to 10000"),
        ("HTTP_PORT", "65536", "a whole number from 0 to 65535"),
        ("ORDER_URL", "localhost:8001", "a URL such as http://host:port"),
        ("ORDER_URL", "http://localhost:notaport", "a URL such as http://host:port"),
        ("KAFKA_BOOTSTRAP", "localhost", "host:port"),
    ],
)
def test_a_bad_value_names_the_variable_the_value_and_what_is_valid(name: str, value: str, valid: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}={value} is not valid: expected {valid}")
    assert "\n" not in message


def test_public_keys_are_required_and_checked() -> None:
    with pytest.raises(SettingsError, match=r"TOKEN_PUBLIC_KEYS is required: set it to keys of 32 bytes"):
        Settings.from_env({})
    for wrong in ("tooshort", f"{PUBLIC_KEY},", f"{PUBLIC_KEY} ", PUBLIC_KEY[:-1]):
        with pytest.raises(SettingsError, match="TOKEN_PUBLIC_KEYS"):
            Settings.from_env({"TOKEN_PUBLIC_KEYS": wrong})
    assert read(TOKEN_PUBLIC_KEYS=f"{PUBLIC_KEY},{PUBLIC_KEY}").token_public_keys.count(",") == 1


@pytest.mark.parametrize("wrong", ["tooshort", "sixteen-letters-,", "with a blank in it", "k\u00e9y-of-that-length"])
def test_the_key_for_a_provider_is_long_enough_and_never_shown(wrong: str) -> None:
    with pytest.raises(SettingsError, match="PROVIDER_KEY_PAYMENT") as caught:
        read(PROVIDER_KEY_PAYMENT=wrong)
    assert wrong not in str(caught.value)


def test_a_retry_ceiling_below_the_first_pause_is_refused() -> None:
    with pytest.raises(SettingsError, match="RETRY_MAX"):
        read(RETRY_INITIAL="2", RETRY_MAX="1")


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_repr_shows_no_secret() -> None:
    shown = repr(read(DATABASE_URL="postgresql://quartet:hunter2@127.0.0.1/order"))
    assert SECRET not in shown
    assert "hunter2" not in shown

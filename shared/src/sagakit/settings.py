"""Every setting of every service, read from the environment in one place.

Guarantee: a `Settings` read by `from_env` is valid; a bad or missing value raises `SettingsError`, which
names the variable, the value and what would be valid. Secrets appear neither in `repr` nor in the table nor
in an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

from sagakit.sealing import checked

MASK = "********"


class SettingsError(ValueError):
    """A setting is missing or invalid; the message is one line, fit to be shown to an operator."""


class SettingRow(NamedTuple):
    """One line of the table of effective settings; `value` is masked where it is secret."""

    name: str
    value: str
    source: Literal["environment", "default"]
    doc: str


class Rule(NamedTuple):
    """How a raw value is read: `parse` raises ValueError on a bad one, `valid` says what is accepted."""

    parse: Callable[[str], Any]
    valid: str


def _one_of(*choices: str, fold: Callable[[str], str] = str.lower) -> Rule:
    def parse(raw: str) -> str:
        if fold(raw) not in choices:
            raise ValueError(raw)
        return fold(raw)

    return Rule(parse, "one of " + ", ".join(choices))


def _switch() -> Rule:
    return Rule(lambda raw: {"on": True, "off": False}[raw.lower()], "one of on, off")


def _whole(low: int, high: int) -> Rule:
    def parse(raw: str) -> int:
        number = int(raw)
        if not low <= number <= high:
            raise ValueError(raw)
        return number

    return Rule(parse, f"a whole number from {low} to {high}")


def _leeway() -> Rule:
    def parse(raw: str) -> float:
        number = float(raw)
        if not 0 <= number <= 60:
            raise ValueError(raw)
        return number

    return Rule(parse, "a number of seconds from 0 to 60")


def _seconds() -> Rule:
    def parse(raw: str) -> float:
        number = float(raw)
        if not math.isfinite(number) or number <= 0:
            raise ValueError(raw)
        return number

    return Rule(parse, "a number of seconds greater than 0")


def _text(least: int = 1) -> Rule:
    def parse(raw: str) -> str:
        if len(raw) < least:
            raise ValueError(raw)
        return raw

    return Rule(parse, "any text" if least <= 1 else f"at least {least} characters")


def _url(*schemes: str) -> Rule:
    def parse(raw: str) -> str:
        parts = urlsplit(raw)
        several = parts.scheme in _DATABASES and "host" in parse_qs(parts.query)  # a primary and its standby
        if parts.scheme not in schemes or not (parts.hostname or several) or (parts.port or 1) < 1:
            raise ValueError(raw)
        return raw.rstrip("/")

    return Rule(parse, "a URL such as " + " or ".join(f"{scheme}://host:port" for scheme in schemes))


def _http() -> Rule:
    return _url("http", "https")


def _address() -> Rule:
    def parse(raw: str) -> str:
        for one in raw.split(","):
            host, _, port = one.strip().rpartition(":")
            if not host or not 0 < int(port) < 65536:
                raise ValueError(raw)
        return raw

    return Rule(parse, "host:port")


def _keys() -> Rule:
    return Rule(checked, "keys of 32 bytes in URL-safe base64, separated by commas")


def _credentials() -> Rule:
    def parse(raw: str) -> str:
        if any(len(one) < 16 or not one.isascii() or not one.isprintable() or " " in one for one in raw.split(",")):
            raise ValueError(raw)
        return raw

    return Rule(parse, "at least 16 visible ASCII characters, the newest first, separated by commas")


def _setting(rule: Rule, doc: str, default: Any = MISSING, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"rule": rule, "doc": doc, "secret": secret})


_DATABASES = ("postgresql", "postgresql+asyncpg", "postgres")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process. A field's variable is its name in capitals; durations are in seconds."""

    coordination_mode: str = _setting(_text(), "who coordinates the saga, and what carries it", "temporal")
    service: str = _setting(_text(), "name of this service", "quartet")
    role: str = _setting(_one_of("api", "worker", "all"), "what this process does", "all")
    replicas: int = _setting(_whole(1, 64), "processes that share HTTP_PORT", 1)
    http_host: str = _setting(_text(), "address to listen on", "127.0.0.1")
    http_port: int = _setting(_whole(0, 65535), "port to listen on, 0 for any free one", 8000)
    http_connections_max: int = _setting(_whole(1, 1_000_000), "connections, then the longest idle ends", 4096)
    http_header_max: int = _setting(_whole(1024, 1_048_576), "bytes of a request's header at most, else 431", 32_768)
    http_unfinished_max: int = _setting(
        _whole(65_536, 2**40), "bytes kept for strangers: half requests, answers unread; then they are cut", 16_777_216
    )
    http_headers_max: int = _setting(_whole(8, 10_000), "lines of a request's header at most, else 431", 100)
    http_pipeline_max: int = _setting(_whole(1, 1000), "unanswered requests on a connection, then reading pauses", 8)
    http_head_timeout: float = _setting(_seconds(), "a header that takes longer gets 408", 10.0)
    http_body_timeout: float = _setting(_seconds(), "a body that takes longer gets 408, an answer unread is cut", 15.0)
    streams_per_customer: int = _setting(_whole(1, 100_000), "open event streams per customer, then 429", 20)
    order_url: str = _setting(_http(), "order service", "http://127.0.0.1:8001")
    payment_url: str = _setting(_http(), "payment service", "http://127.0.0.1:8002")
    inventory_url: str = _setting(_http(), "inventory service", "http://127.0.0.1:8003")
    shipping_url: str = _setting(_http(), "shipping service", "http://127.0.0.1:8004")
    database_url: str = _setting(_url(*_DATABASES), "the service's own database", "", secret=True)
    standby_timeout: float | None = _setting(
        _seconds(), "a commit that its database's standby does not confirm within it gets 503; unset: no standby", None
    )
    db_pool: int = _setting(_whole(1, 500), "database connections per process", 6)
    token_public_keys: str = _setting(_keys(), "verify access tokens (Ed25519), one or several")
    jwt_leeway: float = _setting(_leeway(), "how far the clocks of those who sign tokens may be off", 5.0)
    seal_key_payment: str = _setting(_keys(), "seals payment tokens, the newest key first", "", secret=True)
    seal_key_shipping: str = _setting(_keys(), "seals addresses, the newest key first", "", secret=True)
    providers: str = _setting(_one_of("sandbox", "instant"), "payment provider and carrier", "sandbox")
    provider_key_payment: str = _setting(_credentials(), "payment's at its provider", "", secret=True)
    provider_key_shipping: str = _setting(_credentials(), "shipping's at its carrier", "", secret=True)
    provider_url: str = _setting(_http(), "provider sandbox", "http://127.0.0.1:8005")
    provider_timeout: float = _setting(_seconds(), "a longer call to a provider is of unknown outcome", 2.0)
    provider_concurrency: int = _setting(_whole(1, 10_000), "calls to a provider at a time", 32)
    saga_deadline: float = _setting(_seconds(), "an order still undecided after this is cancelled", 30.0)
    saga_nudge_after: float = _setting(_seconds(), "an order without progress for this long is nudged", 2.0)
    saga_nudge_rate: int = _setting(_whole(1, 100_000), "orders nudged per sweep at most", 50)
    saga_attention_after: float = _setting(_seconds(), "an order unsettled for so long needs attention", 60.0)
    retry_initial: float = _setting(_seconds(), "first pause before a retry", 0.1)
    retry_max: float = _setting(_seconds(), "longest pause between retries", 5.0)
    delivery_attempts: int = _setting(_whole(1, 1000), "failures before a message is a dead letter", 5)
    door_timeout: float = _setting(_seconds(), "a request that waits longer for its row or its batch gets 503", 5.0)
    batch_max: int = _setting(_whole(1, 10_000), "commands in one transaction at most", 500)
    outbox_lease: float = _setting(_seconds(), "how long a claimed outbox row belongs to its relay", 5.0)
    outbox_poll: float = _setting(_seconds(), "slow poll of the outbox when nothing wakes the relay", 0.5)
    drain_timeout: float = _setting(_seconds(), "longest graceful stop", 15.0)
    log_level: str = _setting(_one_of("DEBUG", "INFO", "WARNING", "ERROR", fold=str.upper), "logged from", "INFO")
    fault_injection: bool = _setting(_switch(), "whether failpoints can be set", False)
    kafka_bootstrap: str = _setting(_address(), "Kafka", "127.0.0.1:9092")
    kafka_session_timeout: float = _setting(_seconds(), "a killed consumer's partitions go to others after it", 6.0)
    kafka_partitions: int = _setting(_whole(1, 1000), "partitions per topic", 6)
    aws_endpoint_url: str | None = _setting(_http(), "SNS and SQS, if not Amazon's own", None)
    aws_default_region: str = _setting(_text(), "AWS region", "eu-west-1")
    sqs_visibility: float = _setting(_seconds(), "how long a received SQS message stays hidden", 30.0)
    pubsub_emulator_host: str | None = _setting(_address(), "Pub/Sub, if not Google's own", None)
    pubsub_project: str = _setting(_text(), "Google Cloud project", "quartet")
    temporal_address: str = _setting(_address(), "Temporal", "127.0.0.1:7233")
    temporal_namespace: str = _setting(_text(), "Temporal namespace", "default")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read all settings from `environ`; an empty variable counts as absent, unknown ones are ignored."""
        values = {f.name: _read(f, raw) for f in fields(cls) if (raw := environ.get(f.name.upper(), ""))}
        for f in fields(cls):
            if f.default is MISSING and f.name not in values:
                raise SettingsError(f"{f.name.upper()} is required: set it to {f.metadata['rule'].valid}")
        settings = cls(**values)
        if settings.retry_max < settings.retry_initial:
            raise SettingsError(
                f"RETRY_MAX={settings.retry_max:g} is not valid: "
                f"it must be at least RETRY_INITIAL ({settings.retry_initial:g})"
            )
        return settings

    def table(self, environ: Mapping[str, str]) -> Sequence[SettingRow]:
        """The effective settings, one row each, in declaration order, with secrets masked."""
        return [
            SettingRow(
                f.name.upper(),
                _shown(f, getattr(self, f.name)),
                "environment" if environ.get(f.name.upper()) else "default",
                f.metadata["doc"],
            )
            for f in fields(self)
        ]


def _read(f: Field[Any], raw: str) -> Any:
    rule: Rule = f.metadata["rule"]
    try:
        return rule.parse(raw)
    except (ValueError, KeyError):
        shown = MASK if f.metadata["secret"] else raw
        raise SettingsError(f"{f.name.upper()}={shown} is not valid: expected {rule.valid}") from None


def _shown(f: Field[Any], value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if "://" in str(value):
        return mask_password(value)
    return MASK if f.metadata["secret"] else str(value)


def mask_password(url: str) -> str:
    """The URL with its password, if any, replaced; everything else stays readable."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{MASK}@{place}"))

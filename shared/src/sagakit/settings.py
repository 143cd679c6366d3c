"""Every setting of every service, read from the environment in one place.

Guarantee: a `Settings` is valid; `from_env` raises `SettingsError` for a bad or missing value and names the variable,
the value and what would be valid. Secrets appear neither in `repr` nor in an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self, get_args, get_origin
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from sagakit.sealing import checked

MASK: Final = "********"
_DATABASES: Final = ("postgresql", "postgresql+asyncpg", "postgres")


class SettingsError(ValueError):
    """A setting is missing or invalid; the message is one line that an operator can read."""


@dataclass(frozen=True)
class Valid:
    """Metadata of a field's type: the values that it accepts, as an error names them."""

    values: str


def _switch(value: object) -> object:
    return {"on": True, "off": False}.get(value.lower()) if isinstance(value, str) else value


def _url(*schemes: str) -> Callable[[str], str]:
    def check(url: str) -> str:
        parts = urlsplit(url)
        several = parts.scheme in _DATABASES and "host" in parse_qs(parts.query)  # a primary and its standby
        if parts.scheme not in schemes or not (parts.hostname or several) or (parts.port or 1) < 1:
            raise ValueError("not such a URL")
        return url.rstrip("/")

    return check


def _addresses(addresses: str) -> str:
    for address in addresses.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not 0 < int(port) < 65536:
            raise ValueError("not such an address")
    return addresses


def _credentials(keys: str) -> str:
    if any(len(key) < 16 or not key.isascii() or not key.isprintable() or " " in key for key in keys.split(",")):
        raise ValueError("not such keys")
    return keys


Text = Annotated[str, Field(min_length=1), Valid("any text")]
Switch = Annotated[bool, BeforeValidator(_switch), Valid("one of on, off")]
# 30 years: much longer ones are beyond what timers and the database's intervals can hold
Seconds = Annotated[float, Field(gt=0, le=1e9), Valid("a number of seconds greater than 0, at most 1000000000")]
# Pub/Sub takes no longer pauses, and Temporal none beyond 1,000,000 s
Pause = Annotated[float, Field(gt=0, le=600), Valid("a number of seconds greater than 0, at most 600")]
Leeway = Annotated[float, Field(ge=0, le=60), Valid("a number of seconds from 0 to 60")]
HttpUrl = Annotated[
    str, AfterValidator(_url("http", "https")), Valid("a URL such as http://host:port or https://host:port")
]
DatabaseUrl = Annotated[
    str,
    AfterValidator(_url(*_DATABASES)),
    Valid("a URL such as " + " or ".join(f"{scheme}://host:port" for scheme in _DATABASES)),
]
Addresses = Annotated[str, AfterValidator(_addresses), Valid("host:port")]
Keys = Annotated[str, AfterValidator(checked), Valid("keys of 32 bytes in URL-safe base64, separated by commas")]
Credentials = Annotated[
    str,
    AfterValidator(_credentials),
    Valid("at least 16 visible ASCII characters, the newest first, separated by commas"),
]
Role = Annotated[Literal["api", "worker", "all"], BeforeValidator(str.lower)]
Providers = Annotated[Literal["sandbox", "instant"], BeforeValidator(str.lower)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)]
TraceBatches = Annotated[Literal["links", "children"], BeforeValidator(str.lower)]


class Settings(BaseModel):
    """The settings of one process. A field's variable is its name in capitals; durations are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    coordination_mode: Text = Field("temporal", description="who coordinates the saga, and what carries it")
    service: Text = Field("quartet", description="name of this service")
    role: Role = Field("all", description="what this process does")
    replicas: int = Field(1, ge=1, le=64, description="processes that share HTTP_PORT")
    http_host: Text = Field("127.0.0.1", description="address to listen on")
    http_port: int = Field(8000, ge=0, le=65535, description="port to listen on, 0 for any free one")
    http_connections_max: int = Field(4096, ge=1, le=1_000_000, description="connections, then the longest idle ends")
    http_header_max: int = Field(
        32_768, ge=1024, le=1_048_576, description="bytes of a request's header at most, else 431"
    )
    http_unfinished_max: int = Field(
        16_777_216,
        ge=65_536,
        le=2**40,
        description="bytes kept for strangers: half requests, answers unread; then they are cut",
    )
    http_headers_max: int = Field(100, ge=8, le=10_000, description="lines of a request's header at most, else 431")
    http_pipeline_max: int = Field(
        8, ge=1, le=1000, description="unanswered requests on a connection, then reading pauses"
    )
    http_head_timeout: Seconds = Field(10.0, description="a header that takes longer gets 408")
    http_body_timeout: Seconds = Field(15.0, description="a body that takes longer gets 408, an answer unread is cut")
    streams_per_customer: int = Field(20, ge=1, le=100_000, description="open event streams per customer, then 429")
    order_url: HttpUrl = Field("http://127.0.0.1:8001", description="order service")
    payment_url: HttpUrl = Field("http://127.0.0.1:8002", description="payment service")
    inventory_url: HttpUrl = Field("http://127.0.0.1:8003", description="inventory service")
    shipping_url: HttpUrl = Field("http://127.0.0.1:8004", description="shipping service")
    database_url: DatabaseUrl = Field("", description="the service's own database", repr=False)
    standby_timeout: Seconds | None = Field(
        None, description="a commit that its database's standby does not confirm within it gets 503; unset: no standby"
    )
    db_pool: int = Field(6, ge=1, le=500, description="database connections per process")
    token_public_keys: Keys = Field(description="verify access tokens (Ed25519), one or several")
    jwt_leeway: Leeway = Field(5.0, description="how far the clocks of those who sign tokens may be off")
    seal_key_payment: Keys = Field("", description="seals payment tokens, the newest key first", repr=False)
    seal_key_shipping: Keys = Field("", description="seals addresses, the newest key first", repr=False)
    providers: Providers = Field("sandbox", description="payment provider and carrier")
    provider_key_payment: Credentials = Field("", description="payment's at its provider", repr=False)
    provider_key_shipping: Credentials = Field("", description="shipping's at its carrier", repr=False)
    provider_url: HttpUrl = Field("http://127.0.0.1:8005", description="provider sandbox")
    auditor_url: HttpUrl = Field("http://127.0.0.1:8006", description="auditor, for the console")
    toxiproxy_url: HttpUrl | None = Field(None, description="Toxiproxy, for the console's faults in the network")
    provider_timeout: Seconds = Field(2.0, description="a longer call to a provider is of unknown outcome")
    provider_concurrency: int = Field(32, ge=1, le=10_000, description="calls to a provider at a time")
    saga_deadline: Seconds = Field(30.0, description="an order still undecided after this is cancelled")
    admission_latency: Seconds = Field(
        1.5, description="new orders get 503 where those in flight would take longer, at the measured rate"
    )
    admission_free: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="orders in flight admitted whatever they take, below half the deadline; "
        "unset: 400, over Temporal 80",
    )
    saga_nudge_after: Seconds = Field(2.0, description="an order without progress for this long is nudged")
    saga_nudge_rate: int = Field(50, ge=1, le=100_000, description="orders nudged per sweep at most")
    saga_attention_after: Seconds = Field(60.0, description="an order unsettled for so long needs attention")
    retention: Seconds | None = Field(
        None, description="what is recorded of an order that has ended is deleted after it; unset: never"
    )
    retry_initial: Pause = Field(0.1, description="first pause before a retry")
    retry_max: Pause = Field(5.0, description="longest pause between retries")
    delivery_attempts: int = Field(5, ge=1, le=1000, description="failures before a message is a dead letter")
    door_timeout: Seconds = Field(5.0, description="a request that waits longer for its row or its batch gets 503")
    batch_max: int = Field(500, ge=1, le=10_000, description="commands in one transaction at most")
    outbox_lease: Seconds = Field(5.0, description="how long a claimed outbox row belongs to its relay")
    outbox_poll: Seconds = Field(0.5, description="slow poll of the outbox when nothing wakes the relay")
    drain_timeout: Seconds = Field(15.0, description="longest graceful stop")
    log_level: LogLevel = Field("INFO", description="logged from")
    trace_folder: str = Field("", description="where each service writes its spans, a line of JSON each; empty: none")
    trace_batches: TraceBatches = Field("links", description="a transaction of several commands in their traces")
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        None, description="collector that gets spans over OTLP/HTTP; unset: none"
    )
    fault_injection: Switch = Field(False, description="whether failpoints can be set")
    kafka_bootstrap: Addresses = Field("127.0.0.1:9092", description="Kafka")
    kafka_session_timeout: Seconds = Field(6.0, description="a killed consumer's partitions go to others after it")
    kafka_partitions: int = Field(6, ge=1, le=1000, description="partitions per topic")
    aws_endpoint_url: HttpUrl | None = Field(None, description="SNS and SQS, if not Amazon's own")
    aws_default_region: Text = Field("eu-west-1", description="AWS region")
    sqs_visibility: Seconds = Field(30.0, description="how long a received SQS message stays hidden")
    pubsub_emulator_host: Addresses | None = Field(None, description="Pub/Sub, if not Google's own")
    pubsub_project: Text = Field("quartet", description="Google Cloud project")
    temporal_address: Addresses = Field("127.0.0.1:7233", description="Temporal")
    temporal_namespace: Text = Field("default", description="Temporal namespace")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read all settings from `environ`; an empty variable counts as absent, unknown ones are ignored.

        Raises:
            SettingsError: A variable is missing or has a value that is not valid.
        """
        values = {name: value for name in cls.model_fields if (value := environ.get(name.upper(), ""))}
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise SettingsError(_refusal(name, cls.model_fields[name], values.get(name))) from None
        if settings.retry_max < settings.retry_initial:
            raise SettingsError(
                f"RETRY_MAX={settings.retry_max:g} is not valid: "
                f"it must be at least RETRY_INITIAL ({settings.retry_initial:g})"
            )
        return settings

    @property
    def makes_spans(self) -> bool:
        """Whether the spans of this process go anywhere."""
        return bool(self.trace_folder or self.otel_exporter_otlp_endpoint)


def _refusal(name: str, field: FieldInfo, value: str | None) -> str:
    if value is None:
        return f"{name.upper()} is required: set it to {_valid(field)}"
    return f"{name.upper()}={value if field.repr else MASK} is not valid: expected {_valid(field)}"


def _valid(field: FieldInfo) -> str:
    """The values that a field accepts."""
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(get_args(field.annotation))
    for metadata in _metadata(field):
        if isinstance(metadata, Valid):
            return metadata.values
    bounds = {
        name: getattr(metadata, name) for metadata in field.metadata for name in ("ge", "le") if hasattr(metadata, name)
    }
    return f"a whole number from {bounds['ge']} to {bounds['le']}"


def _metadata(field: FieldInfo) -> Iterator[Any]:
    """The metadata of the field's type; where it may be None too, that of the other type."""
    yield from field.metadata
    for kind in get_args(field.annotation):
        yield from getattr(kind, "__metadata__", ())

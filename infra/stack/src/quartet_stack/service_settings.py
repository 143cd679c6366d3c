"""Settings that only the services know: `make up` passes them on unchanged."""

from collections.abc import Collection, Mapping

PREFIXES = (
    "SAGA_",
    "ADMISSION_",
    "TEMPORAL_",
    "KAFKA_",
    "SNS_",
    "SQS_",
    "PUBSUB_",
    "PROVIDER_",
    "SANDBOX_",
    "OUTBOX_",
    "DB_",
    "OTEL_",
    "HTTP_",
    "RETRY_",
)
NAMES = (
    "BATCH_MAX",
    "DELIVERY_ATTEMPTS",
    "DOOR_TIMEOUT",
    "DRAIN_TIMEOUT",
    "JWT_LEEWAY",
    "PYTHONPATH",
    "RETENTION",
    "SERVICE_ROLE",
    "STREAMS_PER_CUSTOMER",
    "TRACE_BATCHES",
    "TRACE_FOLDER",
    "TZ",
)
# what the stack decides for each program, and what is meant for clients
EXCEPT = (
    "PROVIDER_KEY_",
    "PROVIDER_URL",
    "KAFKA_BOOTSTRAP",
    "PUBSUB_EMULATOR_HOST",
    "PUBSUB_PROJECT",
    "TEMPORAL_ADDRESS",
    "HTTP_HOST",
    "HTTP_PORT",
    "HTTP_PROXY",
)


def service_settings(environ: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """The variables to pass on: those of services that are set, without those that the stack knows itself."""
    return {
        name: value
        for name, value in environ.items()
        if value and name not in known and (name in NAMES or name.startswith(PREFIXES)) and not name.startswith(EXCEPT)
    }

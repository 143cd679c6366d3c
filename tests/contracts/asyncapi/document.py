"""The whole AsyncAPI document, its text, and the promises that it makes to clients."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from quartet_stack.layout import REPOSITORY
from quartet_stack.settings import PORTS
from sagakit.modes.pubsub.wire import FORMAT
from tests.contracts.asyncapi.brokers import kafka, pubsub, sns_sqs
from tests.contracts.asyncapi.messages import TEMPORAL, Json, headers, messages, schemas
from tests.contracts.asyncapi.workflows import temporal
from tests.contracts.promises import unnamed

FILE: Final = REPOSITORY / "docs" / "api" / "asyncapi.yaml"
FIRST_LINE: Final = "# Written by `python -m tests.contracts.asyncapi` from the code. Explained in docs/contracts.md.\n"
ABOUT: Final = """\
What the four services of Quartet say to each other. One mode is chosen at a time; the tags of a channel name the
modes that use it. The services together are the application here: an operation's tag names the service that sends
or receives. Delivery is at least once and in no order; repeats have the same id.

The commands to the order service travel on no channel: it gives them to itself.
"""


def document() -> Json:
    """The document, made from the topology, the transports' names, the message types and the golden messages."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    parts = (kafka(), sns_sqs(), pubsub(), temporal())
    channels = {key: channel for part in parts for key, channel in part.channels.items()}
    used = {
        message["$ref"].rpartition("/")[2] for channel in channels.values() for message in channel["messages"].values()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Quartet",
            "version": project["version"],
            "description": ABOUT,
            "license": {"name": project["license"]},
        },
        "defaultContentType": FORMAT,
        "servers": {
            "kafka": _server("kafka", "KAFKA_PORT", "Apache Kafka."),
            "sns": _server("sns", "AWS_PORT", "Amazon SNS; locally an emulator."),
            "sqs": _server("sqs", "AWS_PORT", "Amazon SQS; locally an emulator."),
            "pubsub": _server("googlepubsub", "PUBSUB_PORT", "Google Cloud Pub/Sub; locally its emulator."),
            "temporal": _server("temporal", "TEMPORAL_PORT", "Temporal. There is no binding for it: see `x-temporal`."),
        },
        "channels": channels,
        "operations": {key: operation for part in parts for key, operation in part.operations.items()},
        "components": {
            "messages": {key: one for key, one in messages().items() if key in used or not key.startswith(TEMPORAL)},
            "schemas": {"Headers": headers(), **schemas()},
            "correlationIds": {"order": {"description": "The order's id.", "location": "$message.payload#/subject"}},
        },
    }


def _server(protocol: str, port: str, what: str) -> Json:
    return {"host": f"127.0.0.1:{PORTS[port]}", "protocol": protocol, "description": what}


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def text_of(whole: Json) -> str:
    """The document as its file has it."""
    return FIRST_LINE + yaml.dump(whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def promises(whole: Mapping[str, Any]) -> Iterator[str]:
    """What clients may rely on, a line each: a channel's address, a message on it, a field, its type, its presence."""
    for key, channel in whole["channels"].items():
        yield f"{key} at {channel['address']}"
        for name in channel["messages"]:
            yield f"{key} carries {name}"
    for name, schema in whole["components"]["schemas"].items():
        for field, inner in schema["properties"].items():
            yield f"{name}.{field}: {_kind(inner)}"
            if field in schema.get("required", ()):
                yield f"{name}.{field} required"


def _kind(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(sorted(map(_kind, schema["anyOf"])))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return f'"{schema["const"]}"'
    if schema.get("type") == "array":
        return f"{_kind(schema['items'])}[]"
    return str(schema.get("type", "any"))


def broken(before: Mapping[str, Any], now: Mapping[str, Any], changelog: str) -> list[str]:
    """The promises of `before` that `now` does not keep, and fields that it newly requires, unless the changelog says.

    The changelog names one by its line, in backticks. A message type that is new may require what it likes.
    """
    old, new = set(promises(before)), set(promises(now))
    types = set(before["components"]["schemas"])
    demanded = {line for line in new - old if line.endswith(" required") and line.partition(".")[0] in types}
    return unnamed((old - new) | demanded, changelog)

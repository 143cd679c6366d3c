"""Schemas and messages of the document: payloads from the dataclasses, envelopes, examples from the golden files.

The payload schemas come from the types that the services decode with, so the document cannot differ from what they
accept. Descriptions are the docstrings.
"""

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from checkout.messages import OWNER, PUBLIC
from checkout.messages.shared import AboutOrder
from checkout.saga import CHECKOUT
from sagakit.envelope import TYPE_PREFIX, VERSION
from sagakit.message import Command, Message
from sagakit.modes.pubsub.wire import FORMAT
from sagakit.modes.temporal.wire import MessagePayload, WorkflowInput
from sagakit.settings import Settings
from tests.contracts.regenerate import GOLDEN

Json = dict[str, Any]

SCHEMAS: Final = "#/components/schemas/"
TEMPORAL: Final = "temporal."
"""What the names of messages over Temporal begin with: there a message has a shorter envelope."""
SAGA_START: Final = "temporal.start.Saga"
SIGNAL_START: Final = "temporal.start.signalled"
DEAD_LETTER: Final = "DeadLetter"


def schemas() -> Json:
    """All payloads by type name, the parts that they share, and the envelopes."""
    kinds = [*PUBLIC.types.values(), MessagePayload, WorkflowInput]
    _, parts = msgspec.json.schema_components(kinds, ref_template=SCHEMAS + "{name}")
    for part in parts.values():
        part["description"] = inspect.cleandoc(part["description"])
        if "order_id" in part["properties"]:
            part["properties"]["order_id"]["description"] = inspect.getdoc(AboutOrder)
    return {"CloudEvent": _cloud_event(), **{name: parts[name] for name in sorted(parts)}}


def _cloud_event() -> Json:
    text: Json = {"type": "string"}
    return {
        "title": "CloudEvent",
        "description": "A CloudEvent 1.0 in structured JSON mode. A receiver ignores fields that it does not know.",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text
            | {
                "description": "Derived: `{subject}/{name of the message}`. A repeat has the same id. "
                "A message with another id becomes a dead letter."
            },
            "source": text
            | {"pattern": "^/quartet/.", "description": "Who sent it: `/quartet/` and the name of a service."},
            "type": text | {"description": f"`{TYPE_PREFIX}`, the name of the message, `{VERSION}`."},
            "subject": text | {"description": "What the message is about: the order's id, as in `data`."},
            "datacontenttype": {"const": "application/json"},
            "data": {"type": "object", "description": "The message itself."},
            "time": text | {"format": "date-time", "description": "When it was written. Nothing is decided by it."},
            "causationid": text | {"description": "The id of the message that led to this one."},
            "traceparent": text | {"description": "W3C trace context; the extension for distributed tracing."},
        },
        "required": ["specversion", "id", "source", "type", "subject", "data"],
    }


def messages() -> Json:
    """Every public message as a CloudEvent and over Temporal, the starts of workflows, and the dead letter."""
    events = {name: _event(name, kind) for name, kind in PUBLIC.types.items()}
    payloads = {TEMPORAL + name: _over_temporal(name, kind) for name, kind in PUBLIC.types.items()}
    return {**events, DEAD_LETTER: _dead_letter(), **payloads, **_starts()}


def _event(name: str, kind: type[Message]) -> Json:
    type_ = f"{TYPE_PREFIX}{name}{VERSION}"
    exact = {"type": {"const": type_}, "id": {"pattern": f"./{name}$"}, "data": {"$ref": SCHEMAS + name}}
    return {
        **_named(name, kind),
        "contentType": FORMAT,
        "headers": {"$ref": SCHEMAS + "Headers"},
        "payload": {"allOf": [{"$ref": SCHEMAS + "CloudEvent"}, {"properties": exact}]},
        "correlationId": {"$ref": "#/components/correlationIds/order"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": "The order's id."}, "bindingVersion": "0.5.0"},
            "googlepubsub": {"orderingKey": "the order's id", "bindingVersion": "0.2.0"},
        },
        "examples": [
            {"name": label, "headers": {"type": name, "id": golden["id"]}, "payload": golden}
            for label, golden in _golden(name)
        ],
    }


def _over_temporal(name: str, kind: type[Message]) -> Json:
    (_, golden), *_ = _golden(name)
    return {
        **_named(name, kind),
        "contentType": "application/json",
        "payload": _typed(name),
        "examples": [{"name": "as the CloudEvent of this name", "payload": _payload(golden, name)}],
    }


def _starts() -> Json:
    started = CHECKOUT.started.__name__
    (_, golden), *_ = _golden(started)
    retries = {name: Settings.model_fields[name].default for name in ("retry_initial", "retry_max")}
    signalled = {"note": None, **retries}
    start = {"note": _payload(golden, started), **retries, "deadline": Settings.model_fields["saga_deadline"].default}
    base = {"$ref": SCHEMAS + "WorkflowInput"}
    return {
        SAGA_START: {
            "name": "Saga",
            "title": "Saga",
            "summary": f"The input of an order's workflow: {started}.",
            "contentType": "application/json",
            "payload": {"allOf": [base, {"properties": {"note": _typed(started)}}]},
            "examples": [{"name": "a new order", "payload": start}],
        },
        SIGNAL_START: {
            "name": "signalled",
            "title": "signalled",
            "summary": "The input of a workflow that a signal starts, where none runs.",
            "contentType": "application/json",
            "payload": {"allOf": [base, {"properties": {"note": {"type": "null"}}}]},
            "examples": [{"name": "no message", "payload": signalled}],
        },
    }


def _dead_letter() -> Json:
    return {
        "name": DEAD_LETTER,
        "title": DEAD_LETTER,
        "summary": "What was given up, as it came, with the cause. It may be of any shape, and no JSON.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "description": "Besides those of the message.",
            "properties": {
                "cause": {"type": "string", "description": "Why it was given up. Not where the broker gave it up."},
                "from": {"type": "string", "description": "Kafka: topic, partition and offset."},
                "subscription": {"type": "string", "description": "Pub/Sub: where it was received."},
                "encoding": {"const": "base64", "description": "SQS: the body is no allowed text."},
                "bytes": {"type": "string", "description": "The length of the whole body, where it had to be cut."},
            },
        },
        "payload": {"description": "Anything."},
    }


def headers() -> Json:
    """The headers of a Kafka record, and the attributes of a message on SNS, SQS and Pub/Sub."""
    return {
        "title": "Headers",
        "description": "Headers of a Kafka record; attributes of a message on SNS, SQS and Pub/Sub.",
        "type": "object",
        "properties": {
            "type": {"type": "string", "description": "The name of the message; subscriptions filter by it."},
            "id": {"type": "string", "description": "As in the envelope. Kafka and Pub/Sub."},
            "content-type": {"const": FORMAT, "description": "Pub/Sub."},
            "encoding": {"const": "base64", "description": "SNS and SQS, where a body is no text that they allow."},
        },
        "required": ["type"],
    }


def _named(name: str, kind: type[Message]) -> Json:
    what = "command to" if issubclass(kind, Command) else "event of"
    text = inspect.getdoc(kind) or ""
    tags = [{"name": "command" if issubclass(kind, Command) else "event"}, {"name": OWNER[kind]}]
    return {"name": name, "title": name, "summary": f"A {what} the {OWNER[kind]} service.", "description": text} | {
        "tags": tags
    }


def _typed(name: str) -> Json:
    exact = {"type": {"const": name}, "data": {"$ref": SCHEMAS + name}}
    return {"allOf": [{"$ref": SCHEMAS + "MessagePayload"}, {"properties": exact}]}


def _payload(golden: Mapping[str, Any], name: str) -> Json:
    return {
        "type": name,
        "data": golden["data"],
        "cause": golden["causationid"],
        "traceparent": golden["traceparent"],
    }


def _golden(name: str) -> Iterator[tuple[str, Json]]:
    for label, folder in (("in clear", GOLDEN), ("sealed", GOLDEN / "sealed")):
        path: Path = folder / f"{name}.json"
        if path.exists():
            yield label, json.loads(path.read_text())

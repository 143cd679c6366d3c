"""The AsyncAPI document is what the code makes, is valid, and says what the services really send and receive."""

import copy
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from checkout.messages import EVENTS_OF, PUBLIC, SERVICES
from checkout.saga import CHECKOUT
from checkout.topology import topology_of
from sagakit.envelope import Envelope
from sagakit.message import Event
from sagakit.modes import MODES
from sagakit.modes.kafka.transport import _message_of
from sagakit.modes.pubsub.wire import message_of
from sagakit.modes.styles import style_of
from sagakit.modes.temporal import TemporalMode
from sagakit.modes.temporal.wire import QUEUE, payload_of
from sagakit.ports import OutboxRow
from sagakit.settings import Settings
from tests.contracts.asyncapi import __main__ as command
from tests.contracts.asyncapi.document import FILE, broken, document, text_of
from tests.contracts.regenerate import GOLDEN
from tests.contracts.samples import ORDER, SAMPLES
from tests.keys import PUBLIC_KEY
from tests.postgres import definition

OFFICIAL = Path(__file__).parent / "asyncapi" / "official"
ORIGIN = tomllib.loads((OFFICIAL / "origin.toml").read_text())
MESSAGES = [(name, path) for name in PUBLIC.types for path in GOLDEN.rglob(f"{name}.json")]


@cache
def committed() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(FILE.read_text(), Loader=yaml.CSafeLoader)
    return loaded


def validator(whole: Mapping[str, Any], pointer: str) -> Draft202012Validator:
    """A validator of what the schema at `pointer` in the document describes."""
    registry = Registry().with_resource("urn:document", Resource.from_contents(whole, DRAFT202012))
    return Draft202012Validator({"$ref": f"urn:document#{pointer}"}, registry=registry)


def message_validator(name: str) -> Draft202012Validator:
    return validator(committed(), f"/components/messages/{name}/payload")


@cache
def official() -> Draft7Validator:
    schema = json.loads((OFFICIAL / "3.0.0.json").read_text())
    return Draft7Validator(
        schema, registry=Registry().with_resource(schema["$id"], Resource.from_contents(schema)).crawl()
    )


def official_errors(whole: Mapping[str, Any]) -> list[str]:
    return [f"{list(error.path)}: {error.message}"[:300] for error in official().iter_errors(whole)]


def test_the_document_is_what_the_code_makes() -> None:
    assert text_of(document()) == FILE.read_text(), "run `python -m tests.contracts.asyncapi`"


def test_the_official_schema_is_the_file_of_the_package() -> None:
    assert hashlib.sha256((OFFICIAL / "3.0.0.json").read_bytes()).hexdigest() == ORIGIN["sha256"]
    assert ORIGIN["path"] == "schemas/3.0.0.json"


def test_the_document_is_valid_by_the_official_schema() -> None:
    assert official_errors(committed()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("asyncapi",), "2.6.0"),
        (("info", "title"), None),
        (("channels", "kafka.quartet.choreography.order.events", "bindings", "kafka", "partitions"), 0),
        (("channels", "sqs.quartet-choreography-order", "bindings", "sqs", "queue"), {}),
        (("operations", "order.sends.kafka.quartet.choreography.order.events", "action"), "publish"),
    ],
)
def test_the_official_schema_finds_what_is_wrong(path: tuple[str, ...], value: Any) -> None:
    whole = copy.deepcopy(committed())
    *parents, last = path
    place = whole
    for key in parents:
        place = place[key]
    place[last] = value
    assert official_errors(whole)


def test_every_reference_resolves() -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for inner in part.values():
                yield from references(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from references(inner)

    for reference in set(references(committed())):
        place = committed()
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]


@pytest.mark.parametrize(("name", "path"), MESSAGES, ids=lambda value: getattr(value, "stem", value))
def test_a_golden_message_fits_its_schema(name: str, path: Path) -> None:
    message_validator(name).validate(json.loads(path.read_text()))


@pytest.mark.parametrize("name", PUBLIC.types)
def test_a_message_without_one_of_its_fields_or_with_another_type_does_not_fit(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    fits = message_validator(name).is_valid
    for field in committed()["components"]["schemas"][name]["required"]:
        renamed = {("renamed" if key == field else key): value for key, value in golden["data"].items()}
        assert not fits(golden | {"data": renamed})
        assert not fits(golden | {"data": golden["data"] | {field: None}})
    assert not fits(golden | {"type": f"quartet.{name}.v2"})
    assert not fits(golden | {"id": f"{ORDER}/Other"})


def test_the_envelope_has_exactly_the_fields_that_are_written() -> None:
    golden = json.loads((GOLDEN / "OrderPlaced.json").read_text())
    assert set(golden) == set(committed()["components"]["schemas"]["CloudEvent"]["properties"])


def test_every_example_fits_its_schema() -> None:
    count = 0
    for name, message in committed()["components"]["messages"].items():
        for example in message.get("examples", ()):
            message_validator(name).validate(example["payload"])
            count += 1
    assert count > len(PUBLIC.types)


def test_headers_and_attributes_are_those_of_the_transports() -> None:
    row = OutboxRow(f"{ORDER}/OrderPlaced", "choreography.order.events", ORDER, "OrderPlaced", b"{}")
    sent = validator(committed(), "/components/schemas/Headers")
    kafka = {name: value.decode() for name, value in _message_of(row)[3]}
    pubsub = dict(message_of(row).attributes)
    for headers in (kafka, pubsub):
        sent.validate(headers)
        assert set(headers) <= set(committed()["components"]["schemas"]["Headers"]["properties"])


def sent(channel: str) -> set[str]:
    return set(committed()["channels"][channel]["messages"])


@pytest.mark.parametrize("style", ["choreography", "orchestration"])
@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_publishes_is_on_the_channel_and_nothing_else(service: str, style: str) -> None:
    playing, topology = style_of(style, definition(service).service, CHECKOUT), topology_of(style)
    subjects = [SAMPLES[kind.__name__] for kind in (*EVENTS_OF[service], *_others(service, style))]
    published: dict[str, set[str]] = {}
    for event in subjects:
        for channel, message in playing.outgoing(event):  # type: ignore[arg-type]
            if channel in topology.channels:
                published.setdefault(channel, set()).add(type(message).__name__)
    for channel, names in published.items():
        assert sent(f"kafka.quartet.{channel}") == names
        assert sent(f"pubsub.quartet-{channel.replace('.', '-')}") == names


def _others(service: str, style: str) -> tuple[type[Event], ...]:
    """The events of others, to which an orchestrator answers with commands."""
    if style != "orchestration" or service != CHECKOUT.owner:
        return ()
    return tuple(kind for step in CHECKOUT.steps for kind in EVENTS_OF[step.participant])


@pytest.mark.parametrize("style", ["choreography", "orchestration"])
@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_starts_and_signals_over_temporal_is_in_the_document(service: str, style: str) -> None:
    settings = Settings(
        service=service, database_url="postgresql+asyncpg://nobody@127.0.0.1:1/none", token_public_keys=PUBLIC_KEY
    )
    mode = TemporalMode(style, settings, definition(service).service, CHECKOUT, topology_of(style))
    signals: dict[str, set[str]] = {}
    for event in (SAMPLES[kind.__name__] for kind in EVENTS_OF[service]):
        for channel, message in mode.outgoing(event, again=True):  # type: ignore[arg-type]
            payload = payload_of(PUBLIC, message, "cause", None)
            for start in mode._role.starts(channel, Envelope(message, service), payload, 0.0):
                key = f"temporal.{style}.{'saga' if style == 'orchestration' else start.service}"
                described = committed()["channels"][key]
                assert described["x-temporal"] == {
                    "taskQueue": QUEUE.format(start.service),
                    "workflowType": start.workflow,
                    "workflowId": described["x-temporal"]["workflowId"],
                    "signal": start.signal[0] if start.signal else described["x-temporal"]["signal"],
                }
                assert described["x-temporal"]["workflowId"].format(order_id=ORDER) == start.id
                form = "temporal.start.Saga" if start.input.payload else "temporal.start.signalled"
                message_validator(form).validate(json.loads(msgspec.json.encode(start.input)))
                if start.signal:
                    message_validator(f"temporal.{payload.type}").validate(
                        json.loads(msgspec.json.encode(start.signal[1]))
                    )
                names = {payload.type if start.signal else "Saga", *(["signalled"] if start.signal else [])}
                signals.setdefault(key, set()).update(names)
    described_sends = {
        operation["channel"]["$ref"].rpartition("/")[2]: {m["$ref"].rpartition("/")[2] for m in operation["messages"]}
        for key, operation in committed()["operations"].items()
        if key.startswith(f"{service}.sends.temporal.{style}") and not key.endswith(".activities")
    }
    assert described_sends == signals


def test_every_mode_has_channels() -> None:
    tags = {tag["name"] for channel in committed()["channels"].values() for tag in channel["tags"]}
    assert tags == set(MODES)


def test_a_field_that_is_renamed_is_a_broken_promise_unless_the_changelog_names_it() -> None:
    now = copy.deepcopy(committed())
    lines = now["components"]["schemas"]["Line"]
    lines["properties"]["price"] = lines["properties"].pop("unit_price")
    lines["required"][-1] = "price"
    lost = broken(committed(), now, "")
    assert lost == ["Line.price required", "Line.unit_price required", "Line.unit_price: Money"]
    assert broken(committed(), now, " ".join(f"`{line}`" for line in lost)) == []


def test_what_is_added_breaks_nothing_and_a_channel_that_moves_does() -> None:
    now = copy.deepcopy(committed())
    now["components"]["schemas"]["Line"]["properties"]["note"] = {"type": "string", "default": ""}
    now["channels"]["kafka.new"] = {"address": "new", "messages": {}}
    assert broken(committed(), now, "") == []
    now["channels"]["kafka.quartet.choreography.order.events"]["address"] = "elsewhere"
    assert broken(committed(), now, "") == [
        "kafka.quartet.choreography.order.events at quartet.choreography.order.events"
    ]


def test_the_command_refuses_to_break_a_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promised = copy.deepcopy(committed())
    promised["components"]["schemas"]["Line"]["properties"]["gone"] = {"type": "integer"}
    file = tmp_path / "asyncapi.yaml"
    file.write_text(json.dumps(promised))  # which is YAML, too
    monkeypatch.setattr(command, "FILE", file)
    assert command.main() == 1
    assert "Line.gone: integer" in capsys.readouterr().out
    assert json.loads(file.read_text()) == promised
    file.unlink()
    assert command.main() == 0
    assert file.read_text() == FILE.read_text()

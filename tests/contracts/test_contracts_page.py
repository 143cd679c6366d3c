"""The programs on the page about the contract handle and build messages as the services do."""

import json
from typing import Any

import pytest

from checkout.messages import PUBLIC
from sagakit.envelope import decode, encode
from tests.contracts.page import SEND, WATCH
from tests.contracts.regenerate import GOLDEN
from tests.contracts.samples import ORDER, SAMPLES


def names_of(program: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(program, "contracts.md", "exec"), names)  # noqa: S102 - a page of this repository
    return names


def test_the_consumer_takes_every_message_once() -> None:
    handle = names_of(WATCH)["handle"]
    for path in GOLDEN.glob("*.json"):
        event = json.loads(path.read_text())
        assert handle(event) == f"{event['id']}: {', '.join(event['data'])}"
        assert handle(event).endswith("a repeat")


@pytest.mark.parametrize("name", PUBLIC.types)
def test_what_the_producer_builds_is_read_as_the_message(name: str) -> None:
    data = json.loads(PUBLIC.encode(SAMPLES[name]))
    assert data.pop("order_id") == ORDER
    built = names_of(SEND)["message"](name, ORDER, cause=f"{ORDER}/Cause", **data)
    envelope = decode(json.dumps(built).encode(), PUBLIC)
    assert envelope.message == SAMPLES[name]
    assert envelope.cause == f"{ORDER}/Cause"
    assert decode(encode(envelope, PUBLIC), PUBLIC).message == SAMPLES[name]

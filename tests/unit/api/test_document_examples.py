"""What schemathesis leaves out: examples that work when pasted, streams, faults; and its own controls."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import jsonschema
import pytest

from sagakit.app import timeline
from tests.contracts.http_documents import document
from tests.postgres import Server
from tests.unit.api.listening import FILLED
from tests.unit.api.served import ADMIN, headers, served


def fits(whole: Mapping[str, Any], schema: Mapping[str, Any], value: Any) -> None:
    """The value has the schema, and no field besides."""
    definitions = {
        name: {**each, "additionalProperties": False} if "properties" in each else each
        for name, each in whole["components"]["schemas"].items()
    }
    jsonschema.validate(value, {**schema, "components": {"schemas": definitions}})


@pytest.mark.parametrize("name", ["order", "payment", "inventory", "shipping"])
async def test_every_example_works_when_pasted(name: str, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "LONGEST", 0.1)  # the client in this process waits for the end of a stream
    whole, tried = document(name), set()
    async with served(name, postgres.database(name), fault_injection=True) as this:
        await FILLED[name](this)
        for path, operations in whole["paths"].items():
            for verb, operation in operations.items():
                if operation["operationId"] in ("follow_order", "follow_activity", "set_faults") or "{item_id}" in path:
                    continue
                answer = await _pasted(this.client, whole, path, verb, operation)
                shown = operation["responses"][str(answer.status_code)]
                assert answer.status_code in (200, 202, 204), (path, answer.text)
                _is_as_shown(whole, shown.get("content", {}), answer)
                tried.add(operation["operationId"])
    assert len(tried) >= 6


def _is_as_shown(whole: Any, contents: Mapping[str, Any], answer: httpx.Response) -> None:
    """The body, or each event of a stream, has the schema that the document shows for it."""
    if "application/json" in contents:
        fits(whole, contents["application/json"]["schema"], answer.json())
    if "text/event-stream" in contents:
        events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        assert events
        for event in events:
            fits(whole, contents["text/event-stream"]["x-event-data"], json.loads(event))


async def _pasted(client: httpx.AsyncClient, whole: Any, path: str, verb: str, operation: Any) -> httpx.Response:
    sent = dict(headers())
    if operation["operationId"] in ("restock", "list_attention", "get_faults", "offer_sign_in"):
        sent = dict(ADMIN)
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
        elif parameter.get("required"):
            sent[parameter["name"]] = parameter["example"]
    body = None
    if "requestBody" in operation:
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        body = whole["components"]["schemas"][reference.rpartition("/")[2]]["examples"][0]
    return await client.request(verb, path, headers=sent, json=body)


async def test_faults_and_attention_answer_as_documented(postgres: Server) -> None:
    whole = document("order")
    async with served("order", postgres.database("order"), fault_injection=True) as order:
        body = {"set": [{"point": "before-call", "action": "stall", "seconds": 1}], "messages": {"kind": "delayed"}}
        for given in (body, {"set": []}):
            answer = await order.client.put("/faults", json=given, headers=ADMIN)
            assert answer.status_code == 200
            fits(whole, {"$ref": "#/components/schemas/Faults"}, answer.json())
        await order.service_process.engine.dead_letter(b"x", "a test")
        item = (await order.get("/attention", ADMIN)).json()["items"][0]
        fits(whole, {"$ref": "#/components/schemas/AttentionItem"}, item)
        answer = await order.post(f"/attention/{item['id']}/retry", ADMIN)
        fits(whole, {"$ref": "#/components/schemas/Retried"}, answer.json())
        answer = await order.post(f"/attention/{item['id']}/dismiss", ADMIN, {"reason": "a test"})
        assert answer.status_code == 200
        # extends another model, so that its schema is whole
        fits(whole, {"$ref": "#/components/schemas/Dismissed"}, answer.json())


async def test_a_stream_is_as_documented(postgres: Server) -> None:
    whole = document("order")
    shown = whole["paths"]["/orders/{order_id}/events"]["get"]["responses"]
    media = shown["200"]["content"]["text/event-stream"]
    assert shown.keys() >= {"200", "204", "404", "429"}
    example = dict(line.split(": ", 1) for line in media["example"].splitlines() if line)
    assert example.keys() == {"id", "event", "data"}
    data = {"order_id": "x", "event": "OrderPlaced", "at": "2026-01-02T03:04:05Z"}
    fits(whole, media["x-event-data"], data)


async def test_the_stream_of_activity_is_as_documented() -> None:
    whole = document("payment")
    media = whole["paths"]["/activity"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    example = dict(line.split(": ", 1) for line in media["example"].splitlines() if line)
    data = json.loads(example["data"])
    assert example["event"] == data["kind"]
    fits(whole, media["x-event-data"], data)

"""How a bad request is answered: permission comes first, and the answer repeats nothing that was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sagakit.settings import Settings
from sagakit.web.app import (
    PRINTABLE,
    VISIBLE,
    Cursor,
    EventStream,
    IdempotencyKey,
    Limit,
    Principal,
    ServerSentEvent,
    create_app,
    drain_of,
    issue_token,
    require_admin,
    require_customer,
)
from tests.keys import PUBLIC_KEY, SIGNING_KEY

SENT = "4ElmStreet"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Everything(BaseModel):
    """A field of every kind that may quote what it refuses."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=20), VISIBLE] = "a"
    ident: UUID | None = None
    at: datetime | None = None
    number: int = 0
    share: float = 0.0
    yes: bool = False
    one_of: Literal["a", "b"] = "a"
    pattern: Annotated[str, Field(pattern="^x$")] = "x"
    many: list[int] = []
    table: dict[int, int] = {}
    pet: Annotated[Cat | Dog | None, Field(discriminator="kind")] = None
    inner: list[Everything] = []


def shop(closed: asyncio.Event) -> APIRouter:
    router = APIRouter()

    @router.get("/things")
    async def things(limit: Limit = 5, cursor: Cursor = None, at: Annotated[datetime | None, Query()] = None) -> str:
        return "things"

    @router.post("/things")
    async def add(body: Everything, number: Annotated[int, Header()] = 0) -> str:
        return "added"

    @router.put("/things")
    async def put(body: Annotated[JsonValue, Body()]) -> str:
        return "put"

    @router.get("/things/{number}")
    async def thing(number: int) -> str:
        return "thing"

    @router.delete("/things/{number}")
    async def remove(number: int, caller: Annotated[Principal, Depends(require_admin)]) -> str:
        return "removed"

    @router.post("/mine")
    async def mine(key: IdempotencyKey, body: Everything, _: Annotated[Principal, Depends(require_customer)]) -> str:
        return key

    @router.get("/events")
    async def events(drain: Annotated[Any, Depends(drain_of)]) -> EventStream:
        async def source() -> AsyncIterator[ServerSentEvent]:
            try:
                yield ServerSentEvent({"n": 1})
                await asyncio.Event().wait()
            finally:
                closed.set()

        return EventStream(source(), drain)

    return router


async def ready() -> Mapping[str, Any]:
    return {}


@pytest.fixture
def closed() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def app(closed: asyncio.Event) -> FastAPI:
    return create_app("Shop", Settings(token_public_keys=PUBLIC_KEY), ready, routers=[shop(closed)])


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/things", "GET, HEAD, POST, PUT"),
        ("/things/1", "DELETE, GET, HEAD"),
        ("/mine", "POST"),
        ("/health/live", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_all_that_is_allowed(client: httpx.AsyncClient, path: str, allowed: str) -> None:
    for method in ("PATCH", "OPTIONS", "BREW"):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.json()["detail"] == f"Allowed here: {allowed}."


@pytest.mark.parametrize("path", ["/things", "/things/1", "/health/live", "/health/ready", "/metrics", "/docs"])
async def test_head_is_answered_as_get_without_its_body(client: httpx.AsyncClient, path: str) -> None:
    got, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":
        assert head.headers["content-length"] == got.headers["content-length"]


async def test_head_of_a_bad_request_has_the_status_of_get(client: httpx.AsyncClient) -> None:
    assert (await client.head("/nowhere")).status_code == 404
    assert (await client.head("/things/x")).status_code == 422
    assert (await client.head("/mine")).status_code == 405
    text = (await client.get("/metrics")).text
    assert 'http_requests_total{method="HEAD",route="/things/{number}",status="422"} 1.0' in text


async def test_head_of_a_stream_ends_at_once(client: httpx.AsyncClient, closed: asyncio.Event) -> None:
    head = await asyncio.wait_for(client.head("/events"), 5)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"name": "a", "name": "b"}', "name"),
        ('{"number": 1, "inner": [{}, {"name": "a", "number": 2, "name": "a"}]}', "inner.1.name"),
        ('{"inner": [{"name": "a", "name": "b"}], "inner": []}', "inner"),
        ('{"name": "a", "\\u006eame": "b"}', "name"),
        ('{"4ElmStreet 4ElmStreet 4ElmStreet 4ElmStreet 4ElmStreet 4ElmStreet x": 1, ' * 2 + '"a": 1}}', None),
        ('{"\\u0007": 1, "\\u0007": 2}', "(a field of another name)"),
    ],
)
async def test_a_duplicate_key_is_refused(client: httpx.AsyncClient, body: str, field: str | None) -> None:
    for method in ("POST", "PUT"):
        answer = await client.request(method, "/things", content=body, headers={"Content-Type": "application/json"})
        if field is None:
            assert answer.status_code == 400
            continue
        assert (answer.status_code, answer.json()["code"]) == (422, "validation")
        assert answer.json()["errors"] == [{"field": field, "message": "stands twice in its object"}]


async def test_a_body_in_pieces_and_of_another_json_type_is_looked_at_too(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"name": "a", "na', b'me": "b"', b"}"):
            yield piece

    for kind in ("application/json; charset=utf-8", "application/merge-patch+json"):
        answer = await client.post("/things", content=pieces(), headers={"Content-Type": kind})
        assert answer.json()["errors"][0]["field"] == "name"


@pytest.mark.parametrize("text", ['{"a": {"name": 1}, "name": 2}', '[{"a": 1}, {"a": 2}]', '{"a": "a:a", "b": [1, 1]}'])
async def test_the_same_key_in_two_objects_is_fine(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.put("/things", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


BAD: list[Any] = [
    {name: SENT * 3}
    for name in ("name", "ident", "at", "number", "share", "yes", "one_of", "pattern", "many", "table", "inner")
] + [
    {"pet": {"kind": SENT}},
    {"name": SENT + "\x00"},
    {"inner": [{"ident": SENT}]},
    SENT,
    [SENT],
    {"x" + SENT * 20: SENT},
    {"number": 10**400, "at": f"2026-01-01T{SENT}"},
]


@pytest.mark.parametrize("body", BAD, ids=str)
async def test_nothing_that_was_sent_is_repeated(client: httpx.AsyncClient, body: Any) -> None:
    broken = json.dumps(body)[:-1] + SENT
    answers = [
        await client.post("/things", json=body),
        await client.post("/things", content=broken, headers={"Content-Type": "application/json"}),
        await client.post("/things", json=body, headers={"Number": SENT, "Content-Type": f"text/{SENT}"}),
        await client.get("/things", params={"limit": SENT, "cursor": SENT, "at": SENT}),
        await client.get(f"/things/{SENT}"),
        await client.get(f"/{SENT}"),
        await client.request("DELETE", f"/things/{SENT}", headers={"Authorization": f"Bearer {SENT}"}),
        await client.post("/mine", json=body, headers={"Idempotency-Key": SENT, "Authorization": f"Basic {SENT}"}),
        await client.request(SENT.upper(), "/things"),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500
        assert SENT not in answer.text
        assert SENT not in str(answer.headers)


@pytest.mark.parametrize("how", ["400", "413", "413 in pieces", "415", "422", "twice", "no key", "bad key", "not json"])
async def test_a_caller_without_permission_is_refused_before_any_other_error(
    client: httpx.AsyncClient, how: str
) -> None:
    async def much() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    content: Any = {
        "400": b"{",
        "413": b" " * 70_000,
        "413 in pieces": much(),
        "415": b"hello",
        "422": b'{"name": ""}',
        "twice": b'{"name": "a", "name": "b"}',
        "not json": b"\xff\xfe",
    }.get(how, b"{}")
    headers = {"Content-Type": "text/plain" if how == "415" else "application/json"}
    headers |= {} if how == "no key" else {"Idempotency-Key": "k" * 256 if how == "bad key" else "k"}
    admin = {"Authorization": f"Bearer {issue_token(SIGNING_KEY, 'root', 'admin')}"}
    for given, status in (({}, 401), ({"Authorization": "Bearer x"}, 401), (admin, 403)):
        body = much() if how == "413 in pieces" else content
        answer = await client.post("/mine", content=body, headers=headers | given)
        assert answer.status_code == status, answer.text
        assert answer.headers["www-authenticate"].startswith("Bearer")


class Names(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=20), VISIBLE]
    key: Annotated[str, PRINTABLE] = "k"


@pytest.fixture
async def names() -> AsyncIterator[httpx.AsyncClient]:
    router = APIRouter()

    @router.post("/names")
    async def take(body: Names) -> str:
        return body.name

    app = create_app("Names", Settings(token_public_keys=PUBLIC_KEY), ready, routers=[router])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://names") as client:
        yield client


@pytest.mark.parametrize(
    "name",
    [
        "\u5c71\u7530\u3000\u592a\u90ce",  # with an ideographic space
        "Jean\u00a0Dupont",
        "\u0641\u0627\u0637\u0645\u0647\u200c\u0632\u0647\u0631\u0627",  # with a joiner
        "\u0915\u094d\u200d\u0937",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "e\u0301" * 10,  # combining marks
        'O\'Brien \\ "x"',
        "\U00020bb7" * 20,  # four bytes each
        "\ue000",  # private use
        "\u0378",  # not assigned yet
        "\u202eabc\u202c",
        ".",
        " a ",
    ],
)
async def test_a_name_in_any_script_is_taken_as_it_is(names: httpx.AsyncClient, name: str) -> None:
    answer = await names.post("/names", json={"name": name})
    assert (answer.status_code, answer.json()) == (200, name)


@pytest.mark.parametrize(
    "name",
    [
        *("a\x00", "a\nb", "a\tb", "a\x7f", "a\x85", "a\u2028b", "a\u2029b"),
        *("a\ufdd0", "a\ufffe", "a\uffff", "a\U0001fffe", "a\U0010ffff"),
        *(" ", "   ", "\u00a0", "\u3000 ", "\u200d", "\u200b", "\ufeff", "\u0301", "\u2800", "\u3164", "\U000e0041"),
        *("", "x" * 21, "\U00020bb7" * 21),
    ],
)
async def test_what_cannot_be_a_name_is_refused(names: httpx.AsyncClient, name: str) -> None:
    answer = await names.post("/names", json={"name": name})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")
    if len(name) > 20:
        assert answer.json()["errors"][0]["message"] == "String should have at most 20 characters"


@pytest.mark.parametrize("name", ['"\\ud800"', '"a\\udfff"', '"\\udfff\\ud800"'])
async def test_an_unpaired_surrogate_is_refused(names: httpx.AsyncClient, name: str) -> None:
    answer = await names.post("/names", content=f'{{"name": {name}}}', headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")

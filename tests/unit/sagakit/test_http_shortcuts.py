"""Shortcuts: they get only requests that have nothing unusual, and their route gets the rest from the beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from sagakit.settings import Settings
from sagakit.web.app import (
    Application,
    JsonResponse,
    NotFound,
    PlainRequest,
    Principal,
    ShortcutRouter,
    create_app,
    issue_token,
    require_caller,
)
from tests.keys import PUBLIC_KEY, SIGNING_KEY

SETTINGS = Settings(token_public_keys=PUBLIC_KEY, service="order", coordination_mode="kafka-choreography")
BEARER = {"Authorization": f"Bearer {issue_token(SIGNING_KEY, 'alice')}"}
USUAL = {**BEARER, "Content-Type": "application/json"}


async def quick(request: PlainRequest) -> Response | None:
    if request.body == b'"missing"':
        raise NotFound("Not there.")
    if request.body == b'"bug"':
        raise RuntimeError("a bug")
    if request.body == b'"other"':
        return None
    return JsonResponse({"by": "shortcut", "caller": request.caller.subject, "body": request.body.decode()})


def routes() -> ShortcutRouter:
    router = ShortcutRouter()
    router.add_shortcut("/things", quick)

    @router.post("/things")
    async def put(request: Request, caller: Annotated[Principal, Depends(require_caller)]) -> dict[str, Any]:
        return {"by": "route", "caller": caller.subject, "body": (await request.body()).decode()}

    return router


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async def ready() -> Mapping[str, Any]:
        return {}

    app = create_app("Order", SETTINGS, ready, routers=[routes()])
    assert isinstance(app, Application)
    app.state.verifier.verify(BEARER["Authorization"].removeprefix("Bearer "))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://order") as client:
        yield client


async def post(client: httpx.AsyncClient, content: Any = b'"x"', headers: Any = USUAL) -> httpx.Response:
    return await client.post("/things", content=content, headers=headers)


async def test_a_usual_request_is_answered_by_the_shortcut(client: httpx.AsyncClient) -> None:
    answer = await post(client)
    assert answer.json() == {"by": "shortcut", "caller": "alice", "body": '"x"'}
    assert answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"


async def test_a_body_that_comes_in_pieces_is_whole(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'"', b"ab", b'"'):
            yield piece

    answer = await post(client, pieces(), {**USUAL, "Content-Length": "4"})
    assert answer.json() == {"by": "shortcut", "caller": "alice", "body": '"ab"'}


async def test_what_a_shortcut_leaves_its_route_reads_from_the_beginning(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'"oth', b'er"'):
            yield piece

    assert (await post(client, b'"other"')).json() == {"by": "route", "caller": "alice", "body": '"other"'}
    answer = await post(client, pieces(), {**USUAL, "Content-Length": "7"})
    assert answer.json() == {"by": "route", "caller": "alice", "body": '"other"'}


@pytest.mark.parametrize(
    "headers",
    [
        {**BEARER, "Content-Type": "Application/JSON"},
        {**USUAL, "Authorization": BEARER["Authorization"].replace("Bearer", "bearer")},
        {**USUAL, "Expect": "100-continue"},
        [*USUAL.items(), ("X-Twice", "1"), ("X-Twice", "1")],
        {**USUAL, "Authorization": f"Bearer {issue_token(SIGNING_KEY, 'alice', ttl=7200)}"},
    ],
    ids=["media type", "scheme", "expect", "a header twice", "a token not seen before"],
)
async def test_an_unusual_head_is_left_to_the_route(client: httpx.AsyncClient, headers: Any) -> None:
    assert (await post(client, headers=headers)).json()["by"] == "route"


async def test_without_a_length_the_route_bounds_the_body(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000

    assert (await post(client, endless())).status_code == 413


async def test_a_body_beyond_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    def too_much() -> Iterable[bytes]:
        yield b"x" * 65_537

    assert (await post(client, b"x" * 65_537)).status_code == 413
    assert (await post(client, b"x" * 65_536)).json()["by"] == "shortcut"
    lying = {**USUAL, "Content-Length": "5"}
    assert (await client.post("/things", content=b"x" * 70_000, headers=lying)).status_code == 413


async def test_a_token_that_has_expired_is_not_known(client: httpx.AsyncClient) -> None:
    assert (await post(client, headers={**USUAL, "Authorization": "Bearer x"})).status_code == 401


async def test_its_problems_and_its_defects_are_answered(client: httpx.AsyncClient) -> None:
    missing = await post(client, b'"missing"')
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert missing.json()["request_id"] == missing.headers["x-request-id"]
    assert (await post(client, b'"bug"')).json()["code"] == "internal"


async def test_its_requests_are_counted_under_the_route_like_all_others(client: httpx.AsyncClient) -> None:
    await post(client)
    await post(client, b'"other"')
    await post(client, b'"bug"')
    exposed = (await client.get("/metrics")).text
    assert 'http_requests_total{method="POST",route="/things",status="200"} 2.0' in exposed
    assert 'http_requests_total{method="POST",route="/things",status="500"} 1.0' in exposed


async def test_only_a_post_is_tried(client: httpx.AsyncClient) -> None:
    assert (await client.get("/things", headers=USUAL)).status_code == 405

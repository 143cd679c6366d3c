"""What docs/http.md says of requests that no other test sends."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from starlette.exceptions import HTTPException

from sagakit.settings import Settings
from sagakit.web.app import JsonResponse, create_app
from tests.keys import PUBLIC_KEY


async def ready() -> Mapping[str, Any]:
    return {}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    router = APIRouter()

    @router.post("/things")
    async def take(body: dict[str, Any]) -> JsonResponse:
        return JsonResponse(len(body))

    @router.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    app = create_app("Things", Settings(token_public_keys=PUBLIC_KEY), ready, routers=[router])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://things") as client:
        yield client


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("query", ["limit=%00", "a%00=1"])
async def test_a_nul_in_the_query_is_404(client: httpx.AsyncClient, query: str) -> None:
    assert_problem(await client.get(f"/teapot?{query}"), 404, "not_found")


@pytest.mark.parametrize("content", [b'{"name": "\xff"}', b'{"name": "\xc3"}', b"[" * 50_000])
async def test_a_body_that_cannot_be_decoded_is_400(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/things", content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400, "bad_request")


async def test_another_refusal_of_the_framework_is_a_problem_too(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/teapot"), 418, "http_error")

"""The web side: every error is a problem, every limit holds, and only permitted callers get through."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError

from sagakit.ports import RowsLocked, StoreUnavailable
from sagakit.settings import Settings
from sagakit.web.app import (
    DEFAULT_LIMIT,
    PRINTABLE,
    Cursor,
    IdempotencyKey,
    Limit,
    Principal,
    create_app,
    decode_cursor,
    issue_token,
    page,
    require_admin,
    require_caller,
    require_customer,
)
from tests.keys import PUBLIC_KEY, SIGNING_KEY

SETTINGS = Settings(token_public_keys=PUBLIC_KEY, service="order", coordination_mode="kafka-choreography")


class Line(BaseModel):
    sku: Annotated[str, PRINTABLE]
    quantity: int = Field(ge=1, le=100)


class Basket(BaseModel):
    lines: list[Line]


FAILURES: dict[str, Exception] = {
    "store": StoreUnavailable("the pool is exhausted"),
    "locked": RowsLocked(frozenset({"order-1"})),
    "refused": ConnectionRefusedError(111, "refused"),
    "late": TimeoutError(),
    "bug": RuntimeError("tok_visa was in here"),
    "untranslated": OperationalError("SELECT", {}, Exception("the database shut down")),
    "file": FileNotFoundError(2, "no such file", "settings.json"),
}


def shop() -> APIRouter:
    router = APIRouter(prefix="/shop")

    @router.post("/baskets")
    async def put(basket: Basket) -> dict[str, int]:
        return {"lines": len(basket.lines)}

    @router.post("/keyed")
    async def keyed(key: IdempotencyKey) -> dict[str, str]:
        return {"key": key}

    @router.get("/baskets/{ident}")
    async def get(ident: str, caller: Annotated[Principal, Depends(require_caller)]) -> dict[str, str]:
        return {"ident": ident, "subject": caller.subject}

    @router.get("/baskets")
    async def every(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> dict[str, Any]:
        decode_cursor(cursor, str)
        return page([limit], None)

    @router.get("/admin")
    async def admin(caller: Annotated[Principal, Depends(require_admin)]) -> str:
        return caller.subject

    @router.get("/customer")
    async def customer(caller: Annotated[Principal, Depends(require_customer)]) -> str:
        return caller.subject

    @router.get("/fail/{how}")
    async def fail(how: str) -> None:
        raise FAILURES[how]

    return router


async def ready() -> Mapping[str, Any]:
    return {"digest": "abc"}


@pytest.fixture
def app() -> FastAPI:
    return create_app("Order", SETTINGS, ready, routers=[shop()])


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://order") as client:
        yield client


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:quartet:problem:{code.replace('_', '-')}"
    assert (body["code"], body["status"]) == (code, status)
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def bearer(role: Any = "customer", subject: str = "alice") -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(SIGNING_KEY, subject, role)}"}


async def test_a_validation_error_names_the_field_by_its_dotted_path(client: httpx.AsyncClient) -> None:
    lines = [{"sku": "cup", "quantity": 1}, {"sku": "cup\u0000", "quantity": 101}]
    body = assert_problem(await client.post("/shop/baskets", json={"lines": lines}), 422, "validation")
    assert [error["field"] for error in body["errors"]] == ["lines.1.sku", "lines.1.quantity"]
    assert body["errors"][1]["message"] == "Input should be less than or equal to 100"
    assert body["detail"] == "lines.1.sku: Input should consist of printable characters (and 1 more)"


async def test_what_the_client_sent_is_never_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/shop/baskets", json={"lines": "tok_secret", "tok_field": 1})
    assert "tok_" not in answer.text


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"{'lines': []}", b"[" * 50_000])
async def test_malformed_json_is_a_bad_request(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/shop/baskets", content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400, "malformed_json" if content[0] == 0x7B else answer.json()["code"])


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_another_format_than_json_is_refused(client: httpx.AsyncClient, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = await client.post("/shop/baskets", content=b'{"lines": []}', headers=headers)
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
async def test_an_encoded_body_is_refused_with_what_is_read(client: httpx.AsyncClient, coding: str) -> None:
    content = gzip.compress(b'{"lines": []}')
    given = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = await client.post("/shop/baskets", content=content, headers=given)
    told = assert_problem(answer, 415, "unsupported_media_type")
    assert told["detail"] == "Content-Encoding: send the body without it; it is read as it is."
    assert answer.headers["accept-encoding"] == "identity"


async def test_the_content_encoding_identity_is_none(client: httpx.AsyncClient) -> None:
    given = {"Content-Type": "application/json", "Content-Encoding": "Identity"}
    assert (await client.post("/shop/baskets", content=b'{"lines": []}', headers=given)).status_code == 200


async def test_a_missing_body_is_a_validation_error(client: httpx.AsyncClient) -> None:
    assert_problem(await client.post("/shop/baskets"), 422, "validation")


async def test_an_unknown_path_and_a_wrong_method_are_problems(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/nowhere"), 404, "not_found")
    assert_problem(await client.get("/shop/baskets/"), 404, "not_found")
    assert_problem(await client.get("/shop/baskets/a%00b", headers=bearer()), 404, "not_found")
    answer = await client.put("/shop/admin")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_a_body_beyond_the_limit_is_refused_by_its_declared_length(client: httpx.AsyncClient) -> None:
    answer = await client.post("/shop/baskets", json={"lines": [], "padding": "x" * 70_000})
    assert_problem(answer, 413, "body_too_large")


async def test_a_chunked_body_beyond_the_limit_is_not_read_whole(client: httpx.AsyncClient) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 1024

    answer = await client.post("/shop/baskets", content=chunks(), headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "body_too_large")
    assert sent <= 66


async def test_a_body_at_the_limit_is_accepted(client: httpx.AsyncClient) -> None:
    content = b'{"lines": []}'.ljust(64 * 1024)
    answer = await client.post("/shop/baskets", content=content, headers={"Content-Type": "application/json"})
    assert answer.json() == {"lines": 0}


@pytest.mark.parametrize("how", ["store", "locked", "refused", "late"])
async def test_an_unavailable_store_is_503_with_retry_after(client: httpx.AsyncClient, how: str) -> None:
    answer = await client.get(f"/shop/fail/{how}")
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("how", ["bug", "untranslated", "file"])
async def test_a_bug_is_500_and_reveals_nothing(client: httpx.AsyncClient, how: str) -> None:
    answer = await client.get(f"/shop/fail/{how}")
    assert_problem(answer, 500, "internal")
    assert "tok_visa" not in answer.text


async def test_no_token_is_401_with_a_challenge(client: httpx.AsyncClient) -> None:
    answer = await client.get("/shop/baskets/1")
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="quartet"'


async def test_the_idempotency_key_is_required(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"Idempotency-Key": ""}):
        body = assert_problem(await client.post("/shop/keyed", headers=headers), 400, "idempotency_key_missing")
        assert "Idempotency-Key" in body["detail"]


@pytest.mark.parametrize("key", [b"x" * 256, b"\xc3\xbc" * 256, b"a\tb", b"a\xc2\x85b", b"\x7f", b"\xe2\x80\xa8"])
async def test_a_malformed_idempotency_key_is_refused(client: httpx.AsyncClient, key: bytes) -> None:
    answer = await client.post("/shop/keyed", headers={b"Idempotency-Key": key})
    body = assert_problem(answer, 422, "idempotency_key_invalid")
    assert body["errors"][0]["field"] == "Idempotency-Key"


async def test_two_idempotency_keys_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/shop/keyed", headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    assert_problem(answer, 422, "idempotency_key_invalid")


@pytest.mark.parametrize("key", ["x", "x" * 255, "a b ~!", "gr\u00fcn", "\u00fc" * 255, "\u5c71\u7530-1", "\U0001f98a"])
async def test_a_printable_idempotency_key_is_taken_as_it_is(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post("/shop/keyed", headers={b"Idempotency-Key": key.encode()})
    assert answer.json() == {"key": key}


async def test_a_key_in_the_old_charset_of_headers_is_the_same_key(client: httpx.AsyncClient) -> None:
    answer = await client.post("/shop/keyed", headers={b"Idempotency-Key": "gr\u00fcn".encode("latin-1")})
    assert answer.json() == {"key": "gr\u00fcn"}


async def test_the_limit_of_a_page_is_bounded(client: httpx.AsyncClient) -> None:
    assert (await client.get("/shop/baskets")).json() == {"items": [50], "next_cursor": None}
    for bad in ("0", "201", "x"):
        body = assert_problem(await client.get("/shop/baskets", params={"limit": bad}), 422, "validation")
        assert body["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("cursor", ["garbage", "eyJ9", "WzFd", "W10", "x" * 2000, "\u20ac"])
async def test_a_bad_cursor_is_named(client: httpx.AsyncClient, cursor: str) -> None:
    body = assert_problem(await client.get("/shop/baskets", params={"cursor": cursor}), 422, "validation")
    assert body["errors"][0]["field"] == "cursor"


async def test_live_ready_and_docs_answer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).json()["status"] == "live"
    answer = await client.get("/health/ready")
    assert answer.status_code == 200
    about = {"status": "ready", "ready": True, "service": "order", "mode": "kafka-choreography", "pid": os.getpid()}
    assert answer.json() == {**about, "digest": "abc"}
    assert "application/problem+json" in (await client.get("/openapi.json")).text


async def test_the_documentation_loads_nothing_from_another_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    sources = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
    assert len(sources) == 3
    for source in sources:
        asset = await client.get(f"/{source}")
        assert (asset.status_code, bool(asset.content)) == (200, True)
    script = (await client.get("/docs/swagger-ui-bundle.js")).headers["content-type"]
    assert script == "text/javascript; charset=utf-8"
    assert (await client.get("/docs/nothing.js")).status_code == 404


async def test_a_stopping_process_is_live_and_not_ready(app: FastAPI, client: httpx.AsyncClient) -> None:
    app.state.drain.start()
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).json()["reason"] == "stopping"


async def test_requests_are_counted_under_their_route_template(client: httpx.AsyncClient) -> None:
    for ident in ("baskets", "2"):
        await client.get(f"/shop/baskets/{ident}", headers=bearer())
    await client.get("/nowhere/at/all")
    await client.get("/shop/fail/bug")
    await client.request("BREW", "/shop/baskets")
    text = (await client.get("/metrics")).text
    assert 'http_requests_total{method="GET",route="/shop/baskets/{ident}",status="200"} 2.0' in text
    assert 'http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'http_requests_total{method="GET",route="/shop/fail/{how}",status="500"} 1.0' in text
    assert 'method="OTHER"' in text
    assert "http_in_flight 1.0" in text


async def test_answers_carry_security_headers_and_the_request_id(client: httpx.AsyncClient) -> None:
    answer = await client.get("/shop/baskets", headers={"X-Request-ID": "mine-1"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize(
    "given", ["", "a b\t{}", "x" * 65, "x" * 60_000, "caf\u00e9", "a\x7fb", 'a"b', "a,b", "\x85", "a%0a"]
)
async def test_a_request_id_that_is_not_short_and_printable_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/shop/nothing", headers={b"X-Request-ID": given.encode("latin-1")})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_request_id_of_64_characters_is_taken(client: httpx.AsyncClient) -> None:
    longest = "aA0_.:-" * 9 + "z"
    answer = await client.get("/shop/baskets", headers={"X-Request-ID": longest})
    assert (len(longest), answer.headers["x-request-id"]) == (64, longest)

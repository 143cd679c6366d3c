"""Who calls: whatever is no token of ours is 401, clocks may differ a little, and roles are kept apart."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI

from sagakit.http import create_app, issue_token
from sagakit.http_auth import Verifier
from tests.unit.sagakit.test_http import SECRET, SETTINGS, assert_problem, bearer, ready, shop


@pytest.fixture
def app() -> FastAPI:
    return create_app("Order", SETTINGS, ready, routers=[shop()])


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://order") as client:
        yield client


def claims(**changed: Any) -> dict[str, Any]:
    given = {"iss": "quartet", "aud": "quartet", "sub": "alice", "role": "customer", "exp": time.time() + 60}
    return {key: value for key, value in {**given, **changed}.items() if value is not None}


def signed(body: Any, secret: str, algorithm: str) -> str:
    """As jwt.encode, which checks what it signs; numbers of any size, NaN."""
    sign = jwt.get_algorithm_by_name(algorithm)
    head = {"alg": algorithm, "typ": "JWT"}
    parts = [json.dumps(part).encode() if not isinstance(part, bytes) else part for part in (head, body)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = sign.sign(text, sign.prepare_key(secret))
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.mark.parametrize(
    "token",
    [
        *("x", "..", ".", "a.b.c", "a.b", "\xff", "\xff.\xff.\xff", "=" * 50, "e30.e30.e30", "A" * 8193, "." * 60_000),
        signed(b"[" * 1000, SECRET, "HS256"),
        signed(b'{"a":' * 2000, SECRET, "HS256"),
        *(signed(body, SECRET, "HS256") for body in (b"", b"\xff", b"null", b"[]", b"1", b'"x"', b'{"exp": 1e999}')),
        signed(b'{"exp": ' + b"9" * 5000 + b"}", SECRET, "HS256"),
        signed(b'{"sub":"a","role":"customer","iss":"quartet","aud":"quartet","exp":1e999}', SECRET, "HS256"),
    ],
)
async def test_whatever_is_no_token_is_401(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}".encode("latin-1")})
    assert_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("changed", [{"iat": 1}, {"nbf": 1}, {"exp": -1}, {"iat": 4}, {"exp": -4}, {"nbf": 4.5}])
async def test_clocks_may_differ_by_a_few_seconds(client: httpx.AsyncClient, changed: dict[str, float]) -> None:
    moved = {name: time.time() + by for name, by in changed.items()}
    token = signed(claims(**moved), SECRET, "HS256")
    answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("changed", [{"iat": 7}, {"nbf": 7}, {"exp": -7}])
async def test_but_not_by_more(client: httpx.AsyncClient, changed: dict[str, float]) -> None:
    token = signed(claims(**{name: time.time() + by for name, by in changed.items()}), SECRET, "HS256")
    answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}"})
    assert_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize(
    ("changed", "secret", "algorithm"),
    [
        ({"exp": 1}, SECRET, "HS256"),
        ({"exp": None}, SECRET, "HS256"),
        ({"sub": None}, SECRET, "HS256"),
        ({"sub": ""}, SECRET, "HS256"),
        ({"iss": "other"}, SECRET, "HS256"),
        ({"aud": "other"}, SECRET, "HS256"),
        ({"role": "root"}, SECRET, "HS256"),
        ({"role": None}, SECRET, "HS256"),
        ({}, "another-secret-of-sufficient-length!!", "HS256"),
        ({}, SECRET * 2, "HS512"),
        ({}, "", "none"),
        ({"sub": "\u0007"}, SECRET, "HS256"),
        ({"sub": "x" * 256}, SECRET, "HS256"),
        ({"sub": 5}, SECRET, "HS256"),
        ({"sub": ["alice"]}, SECRET, "HS256"),
        ({"role": ["admin"]}, SECRET, "HS256"),
        ({"role": {"admin": 1}}, SECRET, "HS256"),
        *(
            ({name: value}, SECRET, "HS256")
            for name in ("exp", "nbf", "iat")
            for value in (
                *(10**400, 10**19, -1, 1e308, float("inf"), float("nan"), -float("inf")),
                *("1e999", "", "4000000000", True, [4000000000], {}, 253_402_300_800),
            )
        ),
        ({"nbf": time.time() + 3600}, SECRET, "HS256"),
        ({"iat": time.time() + 3600}, SECRET, "HS256"),
    ],
)
async def test_a_bad_token_is_401(
    client: httpx.AsyncClient, changed: dict[str, Any], secret: str, algorithm: str
) -> None:
    token = signed(claims(**changed), secret, algorithm)
    answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}"})
    assert_problem(answer, 401, "unauthenticated")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_verified_token_is_believed_only_until_it_expires(app: FastAPI, client: httpx.AsyncClient) -> None:
    now = time.time()
    token = {"Authorization": f"Bearer {issue_token(SECRET, 'alice', ttl=10, now=now)}"}
    app.state.verifier = Verifier(SECRET, lambda: now, leeway=2)
    assert (await client.get("/shop/baskets/1", headers=token)).json() == {"ident": "1", "subject": "alice"}
    assert app.state.verifier._known
    now += 11
    assert (await client.get("/shop/baskets/1", headers=token)).status_code == 200
    now += 2
    assert_problem(await client.get("/shop/baskets/1", headers=token), 401, "unauthenticated")


async def test_roles_are_kept_apart(client: httpx.AsyncClient) -> None:
    assert (await client.get("/shop/admin", headers=bearer("admin"))).status_code == 200
    assert (await client.get("/shop/customer", headers=bearer("customer"))).status_code == 200
    assert_problem(await client.get("/shop/admin", headers=bearer("customer")), 403, "forbidden")
    assert_problem(await client.get("/shop/customer", headers=bearer("admin")), 403, "forbidden")
    assert_problem(await client.get("/shop/baskets/1", headers=bearer("service")), 403, "forbidden")

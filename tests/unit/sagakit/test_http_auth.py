"""Authentication: only our own valid tokens are accepted, clocks may differ a little, roles are kept apart."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from sagakit.tokens import new_signing_key, private_key, public_half, public_keys
from sagakit.web.app import create_app, issue_token
from sagakit.web.auth import Verifier
from sagakit.web.problems import Problem
from tests.keys import PUBLIC_KEY, SIGNING_KEY
from tests.unit.sagakit.test_http import SETTINGS, assert_problem, bearer, ready, shop


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


def signed(body: Any, key: Any = SIGNING_KEY, algorithm: str = "EdDSA") -> str:
    """As jwt.encode, which checks what it signs; numbers of any size, NaN. `key`: of Ed25519, or a shared secret."""
    head = {"alg": algorithm, "typ": "JWT"}
    parts = [json.dumps(part).encode() if not isinstance(part, bytes) else part for part in (head, body)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    if algorithm == "none":
        return f"{text.decode()}."
    signature = (
        hmac.digest(key, text, f"sha{algorithm[2:]}") if algorithm.startswith("HS") else private_key(key).sign(text)
    )
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.mark.parametrize(
    "token",
    [
        *("x", "..", ".", "a.b.c", "a.b", "\xff", "\xff.\xff.\xff", "=" * 50, "e30.e30.e30", "A" * 8193, "." * 60_000),
        signed(b"[" * 1000),
        signed(b'{"a":' * 2000),
        *(signed(body) for body in (b"", b"\xff", b"null", b"[]", b"1", b'"x"', b'{"exp": 1e999}')),
        signed(b'{"exp": ' + b"9" * 5000 + b"}"),
        signed(b'{"sub":"a","role":"customer","iss":"quartet","aud":"quartet","exp":1e999}'),
    ],
)
async def test_a_value_that_is_not_a_token_is_401(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}".encode("latin-1")})
    assert_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("changed", [{"iat": 1}, {"nbf": 1}, {"exp": -1}, {"iat": 4}, {"exp": -4}, {"nbf": 4.5}])
async def test_clocks_may_differ_by_a_few_seconds(client: httpx.AsyncClient, changed: dict[str, float]) -> None:
    moved = {name: time.time() + by for name, by in changed.items()}
    token = signed(claims(**moved))
    answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("changed", [{"iat": 7}, {"nbf": 7}, {"exp": -7}])
async def test_a_token_beyond_the_leeway_is_refused(client: httpx.AsyncClient, changed: dict[str, float]) -> None:
    token = signed(claims(**{name: time.time() + by for name, by in changed.items()}))
    answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}"})
    assert_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize(
    ("changed", "key", "algorithm"),
    [
        ({"exp": 1}, SIGNING_KEY, "EdDSA"),
        ({"exp": None}, SIGNING_KEY, "EdDSA"),
        ({"sub": None}, SIGNING_KEY, "EdDSA"),
        ({"sub": ""}, SIGNING_KEY, "EdDSA"),
        ({"iss": "other"}, SIGNING_KEY, "EdDSA"),
        ({"aud": "other"}, SIGNING_KEY, "EdDSA"),
        ({"role": "root"}, SIGNING_KEY, "EdDSA"),
        ({"role": None}, SIGNING_KEY, "EdDSA"),
        pytest.param({}, new_signing_key(), "EdDSA", id="signed by somebody else"),
        ({}, b"a-secret-of-sufficient-length", "HS256"),
        ({"role": "service"}, SIGNING_KEY, "EdDSA"),
        ({}, "", "none"),
        ({"sub": "\u0007"}, SIGNING_KEY, "EdDSA"),
        ({"sub": "x" * 256}, SIGNING_KEY, "EdDSA"),
        ({"sub": 5}, SIGNING_KEY, "EdDSA"),
        ({"sub": ["alice"]}, SIGNING_KEY, "EdDSA"),
        ({"role": ["admin"]}, SIGNING_KEY, "EdDSA"),
        ({"role": {"admin": 1}}, SIGNING_KEY, "EdDSA"),
        *(
            ({name: value}, SIGNING_KEY, "EdDSA")
            for name in ("exp", "nbf", "iat")
            for value in (
                *(10**400, 10**19, -1, 1e308, float("inf"), float("nan"), -float("inf")),
                *("1e999", "", "4000000000", True, [4000000000], {}, 253_402_300_800),
            )
        ),
        ({"nbf": time.time() + 3600}, SIGNING_KEY, "EdDSA"),
        ({"iat": time.time() + 3600}, SIGNING_KEY, "EdDSA"),
    ],
)
async def test_a_bad_token_is_401(client: httpx.AsyncClient, changed: dict[str, Any], key: Any, algorithm: str) -> None:
    token = signed(claims(**changed), key, algorithm)
    answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}"})
    assert_problem(answer, 401, "unauthenticated")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_cached_token_is_accepted_only_until_it_expires(app: FastAPI, client: httpx.AsyncClient) -> None:
    now = time.time()
    token = {"Authorization": f"Bearer {issue_token(SIGNING_KEY, 'alice', ttl=10, now=now)}"}
    app.state.verifier = Verifier(PUBLIC_KEY, lambda: now, leeway=2)
    assert (await client.get("/shop/baskets/1", headers=token)).json() == {"ident": "1", "subject": "alice"}
    assert app.state.verifier._cache
    now += 11
    assert (await client.get("/shop/baskets/1", headers=token)).status_code == 200
    now += 2
    assert_problem(await client.get("/shop/baskets/1", headers=token), 401, "unauthenticated")


async def test_roles_are_kept_apart(client: httpx.AsyncClient) -> None:
    assert (await client.get("/shop/admin", headers=bearer("admin"))).status_code == 200
    assert (await client.get("/shop/customer", headers=bearer("customer"))).status_code == 200
    assert_problem(await client.get("/shop/admin", headers=bearer("customer")), 403, "forbidden")
    assert_problem(await client.get("/shop/customer", headers=bearer("admin")), 403, "forbidden")


def spki() -> bytes:
    """The public key in PEM, as it is usually handed out."""
    (key,) = public_keys(PUBLIC_KEY)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize(
    "material", [PUBLIC_KEY.encode(), base64.urlsafe_b64decode(PUBLIC_KEY), spki(), spki().strip()]
)
async def test_a_public_key_is_not_accepted_as_a_shared_secret(
    client: httpx.AsyncClient, material: bytes, algorithm: str
) -> None:
    for body in (claims(), claims(role="admin")):
        token = signed(body, material, algorithm)
        answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}"})
        assert_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
async def test_an_unsigned_token_is_refused(client: httpx.AsyncClient, name: str) -> None:
    head, body = (json.dumps(part).encode() for part in ({"alg": name, "typ": "JWT"}, claims(role="admin")))
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, body)).decode()
    for signature in ("", signed(claims()).rpartition(".")[2]):
        answer = await client.get("/shop/admin", headers={"Authorization": f"Bearer {text}.{signature}"})
        assert_problem(answer, 401, "unauthenticated")


async def test_a_key_embedded_in_the_token_is_not_used(client: httpx.AsyncClient) -> None:
    mine = new_signing_key()
    half = public_half(mine).rstrip("=")
    for more in (
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": half}},
        {"kid": half},
        {"jku": "http://127.0.0.1:1/keys"},
    ):
        token = jwt.encode(claims(), private_key(mine), algorithm="EdDSA", headers=more)
        answer = await client.get("/shop/baskets/1", headers={"Authorization": f"Bearer {token}"})
        assert_problem(answer, 401, "unauthenticated")


def test_keys_are_rotated_by_a_second_one() -> None:
    old, new = SIGNING_KEY, new_signing_key()
    both = f"{new},{old}"
    before, between, after = Verifier(public_half(old)), Verifier(public_half(both)), Verifier(public_half(new))
    assert between.verify(issue_token(old, "alice")) == between.verify(issue_token(new, "alice"))
    assert after.verify(issue_token(both, "alice")), "the first one signs"
    for verifier, key in ((before, new), (after, old)):
        with pytest.raises(Problem):
            verifier.verify(issue_token(key, "alice"))


def test_the_cache_is_bounded_and_holds_no_token() -> None:
    verifier = Verifier(PUBLIC_KEY, cache_max=3)
    tokens = [issue_token(SIGNING_KEY, name) for name in ("a", "b", "c", "d")]
    assert [verifier.verify(token).subject for token in tokens] == ["a", "b", "c", "d"]
    assert [caller.subject for caller, _ in verifier._cache.values()] == ["b", "c", "d"]
    assert not any(token.encode() in key or key in token.encode() for token in tokens for key in verifier._cache)
    for token in tokens:
        forged = token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB")
        with pytest.raises(Problem):
            verifier.verify(forged)
    assert len(verifier._cache) == 3, "a refused token is not cached"

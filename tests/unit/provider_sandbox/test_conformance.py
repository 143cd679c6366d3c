"""Both providers answer alike: whoever uses one may be given the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from checkout import limits
from checkout.provider_rules import decide
from order_service.schemas import OrderIn
from sagakit.provider import (
    InstantProvider,
    OutcomeUnknown,
    Provider,
    ProviderCall,
    ProviderOutcome,
    ProviderRejected,
)
from sagakit.provider_http import HttpProvider, Post
from tests.keys import PAYMENT_KEY, SHIPPING_KEY

Sandbox = Any
EUR = {"amount": 2400, "currency": "EUR"}


def call(operation: str, order_id: str = "o1", **payload: Any) -> ProviderCall:
    party = "payment" if operation in ("authorize", "capture", "void") else "carrier"
    return ProviderCall(f"{order_id}/{operation}", party, operation, {"order_id": order_id, **payload})


def over(transport: httpx.AsyncBaseTransport) -> Post:
    """Posts over a transport of the test's own."""

    async def post(path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            try:
                answer = await client.post(path, content=body, headers=dict(headers))
            except httpx.HTTPError as error:
                raise ConnectionError(str(error)) from error
            return answer.status_code, answer.content

    return post


def each_with_its_own_key(post: Post) -> Post:
    """Payment and shipping in one: at the carrier with shipping's key."""

    async def posted(path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        key = SHIPPING_KEY if path.startswith("/carrier/") else PAYMENT_KEY
        return await post(path, body, {**headers, "Authorization": f"Bearer {key}"})

    return posted


async def answer(provider: Provider, asked: ProviderCall) -> ProviderOutcome:
    """The definitive answer, as callers get it: an unknown outcome is asked for again."""
    for _ in range(10):
        try:
            return await provider.call(asked)
        except OutcomeUnknown:
            continue
    raise AssertionError("never a definitive answer")


@pytest.fixture(params=["instant", "http"])
async def provider(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Provider]:
    provider: Provider = InstantProvider(decide)
    if request.param == "http":
        post = each_with_its_own_key(over(sandbox.transport))
        provider = HttpProvider("http://sandbox", PAYMENT_KEY, time_limit=0.15, post=post)
    yield provider
    await provider.close()


@pytest.mark.parametrize(
    ("token", "outcome", "code"),
    [
        ("tok_visa", "ok", ""),
        ("tok_timeout", "ok", ""),
        ("tok_flaky", "ok", ""),
        ("tok_slow", "ok", ""),
        ("tok_declined", "declined", "card_declined"),
        ("tok_insufficient_funds", "declined", "insufficient_funds"),
        ("tok_nonsense", "declined", "invalid_token"),
    ],
)
async def test_an_authorization_ends_alike(provider: Provider, token: str, outcome: str, code: str) -> None:
    asked = call("authorize", amount=EUR, token=token)
    got = await answer(provider, asked)
    assert (got.outcome, got.code) == (outcome, code)
    assert got == await answer(provider, asked)
    assert got == decide(asked)


@pytest.mark.parametrize(("country", "outcome", "code"), [("LV", "ok", ""), ("AQ", "refused", "not_served")])
async def test_a_booking_ends_alike(provider: Provider, country: str, outcome: str, code: str) -> None:
    got = await answer(provider, call("book", country=country))
    assert (got.outcome, got.code) == (outcome, code)


@pytest.mark.parametrize("end", [("capture", "dispatch"), ("void", "cancel")])
async def test_all_sequences_of_operations_end_alike(provider: Provider, end: tuple[str, str]) -> None:
    steps = [call("authorize", amount=EUR, token="tok_visa"), call("book", country="LV")]
    steps += [call(operation, amount=EUR) for operation in end]
    outcomes = [await answer(provider, step) for step in steps]
    assert [got.outcome for got in outcomes] == ["ok"] * 4
    assert len({got.reference for got in outcomes}) == 4
    assert [await answer(provider, step) for step in steps] == outcomes


async def test_deciding_now_agrees_with_calling(provider: Provider) -> None:
    asked = call("authorize", amount=EUR, token="tok_declined")
    assert provider.decide_now(asked) in (None, await answer(provider, asked))


async def test_a_defect_of_the_caller_is_rejected_and_not_unknown(sandbox: Sandbox) -> None:
    provider = HttpProvider("http://sandbox", PAYMENT_KEY, post=over(sandbox.transport))
    with pytest.raises(ProviderRejected, match="o1/void: status 409 nothing_to_void"):
        await provider.call(call("void"))
    await provider.close()


async def test_a_wrong_key_is_rejected(sandbox: Sandbox) -> None:
    provider = HttpProvider("http://sandbox", "x" * 32, post=over(sandbox.transport))
    with pytest.raises(ProviderRejected, match="401 unauthenticated"):
        await provider.call(call("book"))
    await provider.close()


def _raises(error: type[httpx.TransportError]) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error("broken")

    return httpx.MockTransport(handle)


@pytest.mark.parametrize(
    "transport",
    [
        *(httpx.MockTransport(lambda _, s=status: httpx.Response(s)) for status in (408, 425, 429, 500, 502, 503, 504)),
        httpx.MockTransport(lambda _: httpx.Response(200, content=b'{"outcome": "ok"')),
        httpx.MockTransport(lambda _: httpx.Response(200, content=b'{"outcome": "perhaps"}')),
        httpx.MockTransport(lambda _: httpx.Response(200, content=b"<html>")),
        *(_raises(e) for e in (httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError)),
    ],
)
async def test_anything_but_a_whole_answer_is_unknown(transport: httpx.MockTransport) -> None:
    provider = HttpProvider("http://sandbox", "x" * 32, post=over(transport))
    with pytest.raises(OutcomeUnknown):
        await provider.call(call("book"))
    await provider.close()


@pytest.mark.parametrize("status", [400, 402, 404, 405, 410, 411, 413, 414, 415, 422, 431, 451])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"code": "too_long"}', "too_long"),
        (b'{"code": "4 Elm Street"}', None),
        (b'{"code": ["tok_visa"]}', None),
        (b'["code"]', None),
        (b"<html>", None),
        (b"[" * 10_000, None),
        (b"", None),
    ],
)
async def test_a_definitive_refusal_is_an_outcome(status: int, content: bytes, code: str | None) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    provider = HttpProvider("http://sandbox", "x" * 32, post=over(transport))
    got = await provider.call(call("book", country="LV"))
    assert got == ProviderOutcome("refused", code or f"status_{status}")
    await provider.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "unauthenticated"), (403, "forbidden"), (407, "proxy"), (409, "busy"), (422, "key_reused"), (302, "moved")],
)
async def test_an_answer_about_the_caller_or_another_call_is_rejected(status: int, code: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json={"code": code}))
    provider = HttpProvider("http://sandbox", "x" * 32, post=over(transport))
    with pytest.raises(ProviderRejected, match=f"status {status} {code}"):
        await provider.call(call("book", country="LV"))
    await provider.close()


LONGEST = {
    "token": limits.TOKEN,
    "name": limits.NAME,
    "line1": limits.LINE1,
    "city": limits.CITY,
    "postal_code": limits.POSTAL_CODE,
}
CHARACTERS = ("x", "\U00020bb7", '"', "\\", "'", "\u00e9", "\u3000x", "e\u0301", "</script>", "%s{}")


def order(token: str) -> dict[str, Any]:
    address = {name: "x" for name in LONGEST if name != "token"} | {"country": "LV"}
    return {"lines": [{"sku": "cup", "quantity": 1}], "payment": {"token": token}, "shipping_address": address}


@pytest.mark.parametrize("unit", [*CHARACTERS, "\x00", "\n", "\x7f", "\ud800", "\uffff", " ", "\u200d"])
@pytest.mark.parametrize("more", [0, 1])
async def test_every_token_that_the_order_service_accepts_gets_a_definitive_answer(
    sandbox: Sandbox, unit: str, more: int
) -> None:
    token = (unit * limits.TOKEN)[: limits.TOKEN + more] if len(unit) > 1 else unit * (limits.TOKEN + more)
    provider = HttpProvider("http://sandbox", PAYMENT_KEY, post=over(sandbox.transport))
    try:
        OrderIn.model_validate(order(token))
    except ValidationError:
        assert more or unit not in CHARACTERS
    else:
        assert (await provider.call(call("authorize", amount=EUR, token=token))).outcome == "declined"
    await provider.close()


async def test_the_largest_amount_and_every_country_get_a_definitive_answer(sandbox: Sandbox) -> None:
    provider = HttpProvider("http://sandbox", PAYMENT_KEY, post=each_with_its_own_key(over(sandbox.transport)))
    most = {"amount": limits.AMOUNT, "currency": "EUR"}
    assert (await provider.call(call("authorize", amount=most, token="tok_visa"))).outcome == "ok"
    assert (await provider.call(call("book", country="ZZ"))).outcome == "ok"
    beyond = {"amount": limits.AMOUNT + 1, "currency": "EUR"}
    refused = await provider.call(call("authorize", "o2", amount=beyond, token="tok_visa"))
    assert refused == ProviderOutcome("refused", "validation")
    await provider.close()

"""The sandbox over HTTP: one effect per key, whatever happens to requests and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends

from provider_sandbox.callers import Keys
from sagakit.settings import Settings
from sagakit.web.app import create_app
from tests.keys import PAYMENT_KEY, PUBLIC_KEY, SHIPPING_KEY

Sandbox = Any

EUR = {"amount": 2400, "currency": "EUR"}
AsRole = Callable[[Any], dict[str, str]]


async def authorize(sandbox: Sandbox, token: str = "tok_visa", order_id: str = "o1") -> Any:  # noqa: S107
    return await sandbox.call("payment", "authorize", order_id, amount=EUR, token=token)


async def test_the_life_of_a_good_order_is_in_the_ledger_once(sandbox: Sandbox) -> None:
    for _ in range(2):
        assert (await authorize(sandbox)).json()["outcome"] == "ok"
        assert (await sandbox.call("carrier", "book", country="LV")).json()["outcome"] == "ok"
        assert (await sandbox.call("payment", "capture", amount=EUR)).json()["outcome"] == "ok"
        assert (await sandbox.call("carrier", "dispatch")).json()["outcome"] == "ok"
    entries = await sandbox.ledger(order_id="o1")
    assert [entry["operation"] for entry in entries] == ["authorize", "book", "capture", "dispatch"]
    assert {key: entries[0][key] for key in ("order_id", "provider", "outcome", "amount", "key")} == {
        "order_id": "o1",
        "provider": "payment",
        "outcome": "ok",
        "amount": EUR,
        "key": "o1/authorize",
    }
    assert entries[1]["amount"] is None
    assert entries[0]["at"].endswith("+00:00")


async def test_a_refusal_is_an_effect_too(sandbox: Sandbox) -> None:
    assert (await authorize(sandbox, "tok_declined")).json()["code"] == "card_declined"
    assert (await sandbox.call("carrier", "book", country="AQ")).json()["code"] == "not_served"
    assert [entry["outcome"] for entry in await sandbox.ledger()] == ["declined", "refused"]


async def test_a_repeat_gets_the_same_answer(sandbox: Sandbox) -> None:
    answers = await asyncio.gather(*(authorize(sandbox) for _ in range(50)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(await sandbox.ledger()) == 1


async def test_a_key_with_other_content_is_refused(sandbox: Sandbox) -> None:
    await authorize(sandbox)
    answer = await sandbox.call("payment", "authorize", amount=EUR, token="tok_declined")
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")


async def test_a_key_that_is_not_derived_is_refused(sandbox: Sandbox, as_role: AsRole) -> None:
    headers = {"Idempotency-Key": "random", **as_role("payment")}
    answer = await sandbox.client.post("/payment/void", json={"order_id": "o1"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_invalid")


async def test_a_call_that_the_history_forbids_is_409_and_only_counted(sandbox: Sandbox) -> None:
    answer = await sandbox.call("payment", "void")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_void")
    assert await sandbox.ledger() == []
    count = 'saga_provider_calls_total{operation="void",outcome="nothing_to_void",provider="payment"} 1.0'
    assert count in (await sandbox.client.get("/metrics")).text
    await authorize(sandbox)
    assert (await sandbox.call("payment", "void")).json()["outcome"] == "ok"
    assert (await sandbox.call("payment", "capture", amount=EUR)).json()["code"] == "already_voided"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/payment/authorize", {"order_id": "o1"}, "amount"),
        (
            "/payment/authorize",
            {"order_id": "o1", "amount": {"amount": 1.5, "currency": "EUR"}},
            "amount.amount",
        ),
        (
            "/payment/authorize",
            {"order_id": "o1", "amount": {"amount": 1, "currency": "eur"}},
            "amount.currency",
        ),
        ("/payment/authorize", {}, "order_id"),
        ("/carrier/book", {"order_id": "o1\x00"}, "order_id"),
    ],
)
async def test_a_malformed_call_names_the_field(
    sandbox: Sandbox, as_role: AsRole, path: str, body: Any, field: str
) -> None:
    key = f"{body.get('order_id', '')}/{path.rpartition('/')[2]}".replace("\x00", "")
    headers = {"Idempotency-Key": key, **as_role("payment" if "payment" in path else "shipping")}
    answer = await sandbox.client.post(path, json=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_an_unknown_operation_is_404(sandbox: Sandbox) -> None:
    assert (await sandbox.call("payment", "book")).status_code == 404


async def test_a_flaky_token_fails_twice_without_effect_and_then_works(sandbox: Sandbox) -> None:
    for _ in range(2):
        answer = await authorize(sandbox, "tok_flaky")
        assert (answer.status_code, await sandbox.ledger()) == (503, [])
    assert (await authorize(sandbox, "tok_flaky")).json()["outcome"] == "ok"
    assert (await authorize(sandbox, "tok_flaky")).json()["outcome"] == "ok"


async def test_a_timeout_token_takes_effect_and_loses_the_first_answer_only(sandbox: Sandbox) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await authorize(sandbox, "tok_timeout")
    assert len(await sandbox.ledger()) == 1
    assert (await authorize(sandbox, "tok_timeout")).json()["outcome"] == "ok"


async def test_a_second_call_joins_a_slow_first_one(sandbox: Sandbox, as_role: AsRole) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await authorize(sandbox, "tok_slow", order_id="o0")
    alone, began = loop.time() - began, loop.time()
    first = asyncio.create_task(authorize(sandbox, "tok_slow"))
    await asyncio.sleep(0.1)
    assert (await sandbox.client.get("/calls/o1/authorize", headers=as_role("admin"))).status_code == 404
    other = await sandbox.call("payment", "authorize", amount={**EUR, "amount": 1}, token="tok_slow")
    assert other.status_code == 422
    second = await authorize(sandbox, "tok_slow")
    assert 0.19 < loop.time() - began < 1.95 * alone
    assert second.json() == (await first).json()
    assert len(await sandbox.ledger(order_id="o1")) == 1
    began = loop.time()
    await authorize(sandbox, "tok_slow")
    assert loop.time() - began < 0.95 * alone


async def test_a_slow_call_survives_its_client(sandbox: Sandbox) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await authorize(sandbox, "tok_slow")
    await asyncio.sleep(0.25)
    assert len(await sandbox.ledger()) == 1


async def test_what_is_on_record_can_be_asked_by_key(sandbox: Sandbox, as_role: AsRole) -> None:
    answer = (await authorize(sandbox)).json()
    assert (await sandbox.client.get("/calls/o1/authorize", headers=as_role("admin"))).json() == answer
    assert (await sandbox.client.get("/calls/o2/authorize", headers=as_role("admin"))).status_code == 404


async def test_the_ledger_is_paged_without_gaps_or_repeats(sandbox: Sandbox, as_role: AsRole) -> None:
    await asyncio.gather(*(authorize(sandbox, order_id=f"o{n}") for n in range(25)))
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 10, **({"cursor": cursor} if cursor else {})}
        body = (await sandbox.client.get("/ledger", params=params, headers=as_role("admin"))).json()
        seen += [entry["order_id"] for entry in body["items"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"o{n}" for n in range(25))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/payment/authorize", "payment"),
        ("POST", "/payment/capture", "payment"),
        ("POST", "/payment/void", "payment"),
        ("POST", "/carrier/book", "shipping"),
        ("POST", "/carrier/dispatch", "shipping"),
        ("POST", "/carrier/cancel", "shipping"),
        ("GET", "/calls/o1/authorize", "admin"),
        ("GET", "/ledger", "admin"),
        ("GET", "/faults", "admin"),
        ("PUT", "/faults", "admin"),
    ],
)
async def test_each_route_admits_its_own_caller_alone(
    sandbox: Sandbox, as_role: AsRole, method: str, path: str, allowed: str
) -> None:
    """A key opens the calls of one provider, and nothing that is a person's; a token of a person opens no provider."""
    body = {"order_id": "o1", "amount": EUR} if method == "POST" else {} if method == "PUT" else None
    people = ("customer", "admin")
    for who in (*people, "payment", "shipping"):
        headers = {**as_role(who), "Idempotency-Key": f"o1/{path.rpartition('/')[2]}"}
        answer = await sandbox.client.request(method, path, json=body, headers=headers)
        if who == allowed:
            assert answer.status_code in (200, 404, 409), answer.text
        else:
            assert answer.status_code == (403 if (who in people) == (allowed in people) else 401), (who, answer.text)
    if allowed in people:
        return
    assert [entry["operation"] for entry in await sandbox.ledger()] in ([], [path.rpartition("/")[2]])


@pytest.mark.parametrize("shown", ["", "x", PAYMENT_KEY[:-1], PAYMENT_KEY + "x", PAYMENT_KEY.upper(), "\xff" * 32])
async def test_a_key_that_is_almost_right_is_refused(sandbox: Sandbox, shown: str) -> None:
    headers = {"Authorization": f"Bearer {shown}".encode("latin-1"), "Idempotency-Key": b"o1/authorize"}
    answer = await sandbox.client.post("/payment/authorize", json={"order_id": "o1", "amount": EUR}, headers=headers)
    assert (answer.status_code, await sandbox.ledger()) == (401, [])
    assert "Bearer" in answer.headers["www-authenticate"]


async def test_a_key_is_rotated_by_a_second_one() -> None:
    keys = Keys(payment=f"{PAYMENT_KEY},the-one-from-before", carrier=SHIPPING_KEY)
    settings = Settings(token_public_keys=PUBLIC_KEY)
    router = APIRouter()
    router.add_api_route("/payment", lambda: "", dependencies=[Depends(keys.only("payment"))])

    async def ready() -> dict[str, Any]:
        return {}

    transport = httpx.ASGITransport(create_app("Keys", settings, ready, routers=[router]))
    async with httpx.AsyncClient(transport=transport, base_url="http://keys") as client:
        for key, status in ((PAYMENT_KEY, 200), ("the-one-from-before", 200), (SHIPPING_KEY, 403), ("none", 401)):
            assert (await client.get("/payment", headers={"Authorization": f"Bearer {key}"})).status_code == status


async def test_faults_fire_are_counted_and_end(sandbox: Sandbox, as_role: AsRole) -> None:
    async def put(**faults: Any) -> None:
        answer = await sandbox.client.put("/faults", json=faults, headers=as_role("admin"))
        assert answer.status_code == 200

    await put(fail_operations=["authorize"])
    assert (await authorize(sandbox)).status_code == 503
    await put(error_rate=1.0)
    assert (await authorize(sandbox)).status_code == 503
    assert await sandbox.ledger() == []
    await put(lose_answers=1.0, latency_ms=50)
    with pytest.raises(httpx.RemoteProtocolError):
        await authorize(sandbox)
    fired = (await sandbox.client.get("/faults", headers=as_role("admin"))).json()["fired"]
    assert fired == {"latency_ms": 1, "lose_answers": 1}
    await put()
    assert (await authorize(sandbox)).json()["outcome"] == "ok"
    assert len(await sandbox.ledger()) == 1


async def test_unknown_faults_are_refused(sandbox: Sandbox, as_role: AsRole) -> None:
    answer = await sandbox.client.put("/faults", json={"latency": 5}, headers=as_role("admin"))
    assert answer.json()["errors"][0]["field"] == "latency"


@pytest.mark.parametrize("how", ["no key", "malformed", "too large", "not json", "invalid", "twice"])
@pytest.mark.parametrize("path", ["/payment/authorize", "/carrier/book", "/payment/nonsense", "/faults"])
async def test_authorization_is_checked_before_anything_else(
    sandbox: Sandbox, as_role: AsRole, path: str, how: str
) -> None:
    content = {"malformed": b"{", "too large": b" " * 70_000, "not json": b"x", "twice": b'{"order_id":1,"order_id":2}'}
    headers = {"Content-Type": "text/plain" if how == "not json" else "application/json", "Idempotency-Key": "k"}
    if how == "no key":
        del headers["Idempotency-Key"]
    method = "PUT" if path == "/faults" else "POST"
    other, refused = ("customer", 403) if path == "/faults" else ("shipping" if "payment" in path else "payment", 403)
    for given, status in (({}, 401), ({"Authorization": "Bearer x"}, 401), (as_role(other), refused)):
        sent = content.get(how, b"{}")
        answer = await sandbox.client.request(method, path, content=sent, headers=headers | given)
        assert answer.status_code == status, answer.text


async def test_a_repeated_json_key_is_refused(sandbox: Sandbox, as_role: AsRole) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "o1/book", **as_role("shipping")}
    body = '{"order_id": "o1", "more": {"a": 1, "a": 2}, "country": "LV"}'
    answer = await sandbox.client.post("/carrier/book", content=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "more.a")
    body = '{"error_rate": 0, "error_rate": 1}'
    answer = await sandbox.client.put("/faults", content=body, headers=headers | as_role("admin"))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "error_rate")

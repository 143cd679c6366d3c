"""A one-time code is exchanged for the tokens that an operator has left for it."""

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from sagakit.sign_in import CODE_LENGTH, digest_of, new_code, seal, unseal
from tests.postgres import Server
from tests.unit.api.served import ADMIN, Served, headers, problem, served

TOKENS = {"customer": "token-of-alice", "operator": "token-of-an-operator"}


@pytest.fixture
async def order(postgres: Server) -> AsyncIterator[Served]:
    async with served("order", postgres.database("order")) as this:
        yield this


async def offer(order: Served, code: str, **more: object) -> None:
    body = {"digest": digest_of(code), "sealed": seal(code, json.dumps(TOKENS)), **more}
    answer = await order.post("/sign-in/codes", ADMIN, body)
    assert answer.status_code == 204, answer.text


async def test_a_code_works_once(order: Served) -> None:
    code = new_code()
    await offer(order, code)
    first = await order.post("/sign-in", {}, {"code": code})
    assert first.json() == {"tokens": TOKENS}
    problem(await order.post("/sign-in", {}, {"code": code}), 404, "sign_in_code_unknown")


async def test_a_code_expires(order: Served) -> None:
    code = new_code()
    await offer(order, code, seconds=1)
    async with order.service_process.database.begin() as connection:
        await connection.execute(text("UPDATE sign_in_code SET expires_at = expires_at - interval '2 seconds'"))
    problem(await order.post("/sign-in", {}, {"code": code}), 404, "sign_in_code_unknown")


async def test_a_code_of_another_offer_opens_nothing(order: Served) -> None:
    await offer(order, new_code())
    problem(await order.post("/sign-in", {}, {"code": new_code()}), 404, "sign_in_code_unknown")


async def test_an_offer_whose_seal_is_of_another_code_is_not_answered(order: Served) -> None:
    code = new_code()
    await offer(order, code, sealed=seal(new_code(), json.dumps(TOKENS)))
    problem(await order.post("/sign-in", {}, {"code": code}), 404, "sign_in_code_unknown")


async def test_only_an_operator_leaves_tokens(order: Served) -> None:
    body = {"digest": digest_of(new_code()), "sealed": "sealed:x"}
    problem(await order.post("/sign-in/codes", headers(), body), 403, "forbidden")
    problem(await order.post("/sign-in/codes", {}, body), 401, "unauthenticated")


async def test_the_database_tells_neither_code_nor_token(order: Served) -> None:
    code = new_code()
    await offer(order, code)
    async with order.service_process.database.connect() as connection:
        row = (await connection.execute(text("SELECT * FROM sign_in_code"))).one()
    kept = " ".join(map(str, row))
    assert code not in kept
    assert not any(token in kept for token in TOKENS.values())
    assert json.loads(unseal(code, row.sealed)) == TOKENS


async def test_a_malformed_code_is_told_what_it_must_be(order: Served) -> None:
    answer = problem(await order.post("/sign-in", {}, {"code": "short"}), 422, "validation")
    assert answer["errors"][0]["field"] == "code"
    assert len(new_code()) == CODE_LENGTH

"""What needs a human: all of it, in pages; counted unasked; pushed on with the truth; put away with a reason."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from checkout.messages import AuthorizePayment, CancelOrder
from sagakit.app.attention import Attention
from sagakit.dead_letters import letter_id
from sagakit.web.app import encode_cursor
from tests.postgres import Server
from tests.service_process import basket, service_process
from tests.unit.api.served import ADMIN, Served, headers, problem, served
from tests.unit.sagakit_sql.test_caller import OutcomeUnknown, Scripted

MANY = 251


@pytest.fixture
async def order(postgres: Server) -> AsyncIterator[Served]:
    async with served("order", postgres.database("order"), saga_attention_after=0.2) as this:
        yield this


@pytest.fixture
async def calm(postgres: Server) -> AsyncIterator[Served]:
    """Nothing but what a test puts there needs attention."""
    async with served("order", postgres.database("order"), saga_attention_after=3600.0) as this:
        yield this


async def pages(this: Served, path: str = "/attention", limit: int = 50) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        joint = "&" if "?" in path else "?"
        body = (await this.get(f"{path}{joint}limit={limit}" + (f"&cursor={cursor}" if cursor else ""), ADMIN)).json()
        assert body.keys() == {"items", "next_cursor"}
        assert len(body["items"]) <= limit
        assert body["next_cursor"] is None or body["next_cursor"] != cursor
        items += body["items"]
        if (cursor := body["next_cursor"]) is None:
            return items


async def counted(this: Served, kind: str, number: int, seconds: float = 5) -> None:
    """Until the metric says so, with nobody asking for the list."""
    async with asyncio.timeout(seconds):
        while True:
            if this.service_process.metrics.registry.get_sample_value("saga_attention", {"kind": kind}) == number:
                return
            await asyncio.sleep(0.02)


async def add_letters(this: Served, *bodies: bytes) -> None:
    for body in bodies:
        await this.service_process.engine.dead_letter(body, f"cannot read {body.decode()}")


async def _failing() -> None:
    raise RuntimeError("broken")


@pytest.mark.parametrize("limit", [1, 50, 200])
async def test_every_one_of_many_dead_letters_is_on_some_page_once_newest_first(calm: Served, limit: int) -> None:
    number = 7 if limit == 1 else MANY
    await add_letters(calm, *(str(n).encode() for n in range(number)))
    items = await pages(calm, limit=limit)
    assert [item["id"] for item in items] == [letter_id(str(n).encode()) for n in reversed(range(number))]
    assert {item["kind"] for item in items} == {"dead-letter"}
    assert items[0]["detail"] == f"cannot read {number - 1}"


async def test_a_dead_letter_names_the_order_that_it_is_about(calm: Served) -> None:
    engine = calm.service_process.engine
    await engine.dead_letter(b"1", "row rejected (23514)", "order-1")
    await engine.dead_letter(b"2", "order-2/CommitStock: LookupError", "order-2")
    await engine.dead_letter(b"3", "not JSON", None)
    details = {item["detail"] for item in await pages(calm)}
    assert details == {"order-1: row rejected (23514)", "order-2/CommitStock: LookupError", "not JSON"}


async def test_the_metric_says_how_many_there_are_without_anyone_asking(calm: Served) -> None:
    await counted(calm, "dead-letter", 0)
    await add_letters(calm, *(str(n).encode() for n in range(MANY)))
    await counted(calm, "dead-letter", MANY)
    for kind in ("provider-call", "unpublished", "task", "unsettled-order"):
        await counted(calm, kind, 0)


async def test_an_operators_act_is_counted_at_once(postgres: Server) -> None:
    async with service_process("order", postgres.database("order"), started=False) as this:
        attention = Attention(this.database, this.engine, period=3600.0)
        counting = asyncio.create_task(attention.run())
        for body in (b"x", b"y"):
            await this.engine.dead_letter(body, "cannot be read")
        gauge = this.metrics.attention.labels("dead-letter")
        assert await attention.push("nothing", "root") is None
        for body, left in ((None, 2), (b"x", 1), (b"y", 0)):
            if body is not None:
                assert await attention.dismiss(letter_id(body), "ours", "root") is not None
            async with asyncio.timeout(5):
                while True:
                    if gauge._value.get() == left:
                        break
                    await asyncio.sleep(0.02)
        counting.cancel()
        await asyncio.wait({counting})


async def test_letters_that_came_in_the_same_moment_are_all_on_some_page(calm: Served) -> None:
    await add_letters(calm, *(str(n).encode() for n in range(20)))
    await calm.service_process.execute("UPDATE dead_letter SET at = '2026-01-01T00:00:00Z'")
    items = await pages(calm, limit=3)
    assert len({item["id"] for item in items}) == len(items) == 20


async def test_all_kinds_are_in_one_list(postgres: Server) -> None:
    provider = Scripted(*(OutcomeUnknown("lost") for _ in range(50)))
    asked: dict[str, Any] = {"provider": provider, "providers": "sandbox", "saga_attention_after": 0.1}
    leased = {"outbox_lease": 7200.0}  # so that the relay leaves the rows below to whoever has them for an hour
    async with served("payment", postgres.database("payment"), **asked, **leased) as payment:
        await payment.do(AuthorizePayment("o1", basket()))
        await add_letters(payment, b"x")
        await payment.service_process.execute(
            "INSERT INTO outbox (id, channel, key, type, body, is_call, token, attempts, leased_until, created_at) "
            "SELECT u.id, 'events', 'o', 'X', '', false, 0, u.attempts, now() + interval '1 hour', '2026-01-01' "
            "FROM (VALUES ('o2/X', 5), ('o3/X', 4)) AS u(id, attempts)"
        )
        payment.service_process.engine.background.start("broken", _failing)
        for kind in ("dead-letter", "provider-call", "unpublished", "task"):
            await counted(payment, kind, 1)
        items = await pages(payment, limit=1)
        assert [item["since"] for item in items] == sorted((item["since"] for item in items), reverse=True)
        assert {(item["kind"], item["id"]) for item in items} == {
            ("dead-letter", letter_id(b"x")),
            ("provider-call", "o1/authorize"),
            ("unpublished", "o2/X"),
            ("task", "task/broken"),
        }
        told = (await payment.post("/attention/o2/X/retry", ADMIN)).json()
        assert told == {"id": "o2/X", "retried": True, "outcome": "due now"}
        told = (await payment.post("/attention/task/broken/retry", ADMIN)).json()
        assert (told["retried"], told["outcome"]) == (False, "failed")
        assert (await payment.post("/attention/task/broken/dismiss", ADMIN, {"reason": "known"})).status_code == 200
        assert "task" not in {item["kind"] for item in await pages(payment)}
        await counted(payment, "task", 0)


async def test_a_call_can_be_made_due_and_stays_listed_until_it_is_answered(postgres: Server) -> None:
    provider = Scripted(OutcomeUnknown("lost"), OutcomeUnknown("lost"))
    asked: dict[str, Any] = {"provider": provider, "providers": "sandbox", "saga_attention_after": 0.1}
    slow = {"retry_initial": 30.0, "retry_max": 30.0}
    async with served("payment", postgres.database("payment"), **asked, **slow) as payment:
        await payment.do(AuthorizePayment("o1", basket()))
        await counted(payment, "provider-call", 1)
        told = (await payment.post("/attention/o1/authorize/retry", ADMIN)).json()
        assert told == {"id": "o1/authorize", "retried": True, "outcome": "due now"}
        assert [item["id"] for item in await pages(payment)] == ["o1/authorize"]
        await payment.service_process.until("SELECT attempts FROM outbox", 2)
        assert (await payment.post("/attention/o1/authorize/retry", ADMIN)).status_code == 200
        await counted(payment, "provider-call", 0)
        problem(await payment.post("/attention/o1/authorize/retry", ADMIN), 404, "not_found")


async def test_an_order_that_does_not_settle_can_be_nudged_and_put_away_until_it_changes(order: Served) -> None:
    order_id = (await order.place()).json()["order_id"]
    await counted(order, "unsettled-order", 1)
    (item,) = await pages(order)
    assert (item["id"], item["kind"], item["detail"]) == (order_id, "unsettled-order", "PENDING for too long")
    told = (await order.post(f"/attention/{order_id}/retry", ADMIN)).json()
    assert told == {"id": order_id, "retried": True, "outcome": "nudged"}
    assert (await order.post(f"/attention/{order_id}/dismiss", ADMIN, {"reason": "seen"})).status_code == 200
    assert await pages(order) == []
    await counted(order, "unsettled-order", 0)
    await order.do(CancelOrder(order_id, "OUT_OF_STOCK"))
    (item,) = await pages(order)
    assert item["detail"] == "CANCELLED for too long"
    await counted(order, "unsettled-order", 1)


async def test_a_retry_says_what_came_of_it(calm: Served) -> None:
    good, bad = letter_id(b"good"), letter_id(b"bad")
    await add_letters(calm, b"good", b"bad")
    told = (await calm.post(f"/attention/{good}/retry", ADMIN)).json()
    assert told == {
        "id": good,
        "retried": False,
        "outcome": "failed",
        "detail": "this mode stays in memory",
    }

    async def redeliver(body: bytes) -> str | None:
        return None if body == b"good" else "CommitStock: ValueError: still a bug"

    calm.service_process.engine.redeliver = redeliver
    answer = await calm.post(f"/attention/{bad}/retry", ADMIN)
    assert answer.status_code == 200
    assert answer.json() == {
        "id": bad,
        "retried": False,
        "outcome": "failed",
        "detail": "CommitStock: ValueError: still a bug",
    }
    answer = await calm.post(f"/attention/{good}/retry", ADMIN)
    assert answer.json() == {"id": good, "retried": True, "outcome": "done"}
    assert [item["id"] for item in await pages(calm)] == [bad]
    problem(await calm.post(f"/attention/{good}/retry", ADMIN), 404, "not_found")
    (row,) = await calm.service_process.rows(
        "SELECT resolution, resolved_by FROM dead_letter WHERE resolved_at IS NOT NULL"
    )
    assert tuple(row) == ("redriven", "root")


async def test_a_letter_is_put_away_with_a_reason_that_is_kept(calm: Served, caplog: pytest.LogCaptureFixture) -> None:
    await add_letters(calm, b"x", b"y")
    letter = letter_id(b"x")
    with caplog.at_level(logging.WARNING):
        answer = await calm.post(f"/attention/{letter}/dismiss", ADMIN, {"reason": "  a test of ours  "})
        again = await calm.post(f"/attention/{letter}/dismiss", headers("eve", "admin"), {"reason": "another"})
    assert answer.status_code == again.status_code == 200
    assert answer.json() == again.json()
    shown = answer.json()
    assert shown.pop("dismissed") is True
    assert (shown["id"], shown["reason"], shown["dismissed_by"]) == (letter, "a test of ours", "root")
    assert [record.message for record in caplog.records].count("attention dismissed") == 1
    (record,) = [record for record in caplog.records if record.message == "attention dismissed"]
    assert (record.item, record.by, record.reason) == (letter, "root", "a test of ours")  # type: ignore[attr-defined]
    assert [item["id"] for item in await pages(calm)] == [letter_id(b"y")]
    assert await pages(calm, "/attention?dismissed=true") == [shown]
    await counted(calm, "dead-letter", 1)
    (row,) = await calm.service_process.rows(
        "SELECT resolution, reason, resolved_by FROM dead_letter WHERE reason IS NOT NULL"
    )
    assert tuple(row) == ("dismissed", "a test of ours", "root")


async def test_a_letter_that_was_put_away_and_comes_again_is_open_again_and_its_history_is_kept(calm: Served) -> None:
    letter = letter_id(b"x")
    for reason in ("first", "second"):
        await add_letters(calm, b"x")
        assert [item["id"] for item in await pages(calm)] == [letter]
        assert (await calm.post(f"/attention/{letter}/dismiss", ADMIN, {"reason": reason})).status_code == 200
        assert await pages(calm) == []
    kept = await pages(calm, "/attention?dismissed=true", limit=1)
    assert [item["reason"] for item in kept] == ["second", "first"]


async def test_a_reason_is_required_and_visible_and_the_operators(calm: Served) -> None:
    await add_letters(calm, b"x")
    path = f"/attention/{letter_id(b'x')}/dismiss"
    for body in ({}, {"reason": ""}, {"reason": "   "}, {"reason": "a\x00b"}, {"reason": "\u200b"}, {"reason": 1}):
        problem(await calm.post(path, ADMIN, body), 422, "validation")
    problem(await calm.post(path, ADMIN, {"reason": "x" * 501}), 422, "validation")
    problem(await calm.post(path, ADMIN, {"reason": "x", "by": "me"}), 422, "validation")
    problem(await calm.post(path, headers(), {"reason": "x"}), 403, "forbidden")
    problem(await calm.client.post(path, json={"reason": "x"}), 401, "unauthenticated")
    for item in ("nothing", "not/there", "%00", "task/none"):
        problem(await calm.post(f"/attention/{item}/dismiss", ADMIN, {"reason": "x"}), 404, "not_found")
        problem(await calm.post(f"/attention/{item}/retry", ADMIN), 404, "not_found")
    assert len(await pages(calm)) == 1
    assert (await calm.post(path, ADMIN, {"reason": "x" * 500})).status_code == 200


async def test_a_cursor_that_is_not_ours_is_refused(calm: Served) -> None:
    for cursor in ("x", encode_cursor("yesterday", "task", "x"), encode_cursor("2026-01-01", "task", "x")):
        problem(await calm.get(f"/attention?cursor={cursor}", ADMIN), 422, "validation")
    for query in ("limit=0", "limit=201", "dismissed=perhaps"):
        problem(await calm.get(f"/attention?{query}", ADMIN), 422, "validation")


async def test_the_count_goes_on_after_an_outage(postgres: Server, calm: Served) -> None:
    await add_letters(calm, b"x")
    await counted(calm, "dead-letter", 1)
    await asyncio.to_thread(postgres.kill)
    await asyncio.to_thread(postgres.start)
    await add_letters(calm, b"y")
    await counted(calm, "dead-letter", 2, 15)


async def test_the_interface_describes_both_acts(calm: Served) -> None:
    paths = (await calm.client.get("/openapi.json")).json()["paths"]
    assert set(paths["/attention"]) == {"get"}
    assert {"cursor", "limit", "dismissed"} <= {one["name"] for one in paths["/attention"]["get"]["parameters"]}
    assert "post" in paths["/attention/{item_id}/retry"]
    assert "post" in paths["/attention/{item_id}/dismiss"]

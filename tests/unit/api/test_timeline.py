"""What a timeline and `/activity` tell: nothing is missing, nothing is invented, no secret is shown."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from checkout.messages import (
    AuthorizePayment,
    CancelOrder,
    ConfirmOrder,
    RecordStockSettled,
    ReserveStock,
    VoidPayment,
)
from sagakit.app import timeline as timelines
from sagakit.message import id_of
from sagakit.ports import StoreUnavailable
from sagakit.provider import OutcomeUnknown
from sagakit.sealing import masked
from sagakit.work import Nudge
from tests.postgres import Server
from tests.service_process import basket, reserve
from tests.unit.api.served import ADMIN, Served, headers, problem, served
from tests.unit.api.streams import following
from tests.unit.sagakit_sql.test_caller import Scripted
from tests.waits import until

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def timeline(service: Served, order_id: str) -> Any:
    return (await service.get(f"/timeline/{order_id}", ADMIN)).json()


def told(body: Any, *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(item[field] for field in ("message", *fields)) for item in body["items"]]


async def test_payloads_are_shown_without_what_is_sealed(postgres: Server) -> None:
    async with served("order", postgres.database("order")) as order:
        order_id = (await order.place()).json()["order_id"]
        body = await timeline(order, order_id)
        (command, event) = body["items"]
        assert command["payload"] is None
        assert event["payload"]["checkout"]["lines"][0]["sku"] == "espresso-cup"
        assert event["payload"]["checkout"]["payment_token"] == event["payload"]["checkout"]["address"] == "[sealed]"
        assert "tok_visa" not in json.dumps(body)
        assert "Main St" not in json.dumps(body)


def test_sealed_text_is_masked_wherever_it_stands() -> None:
    value = {"a": ["sealed:x", {"address": {"name": "A"}, "b": 1}], "c": "in clear"}
    assert masked(value, frozenset({"address"})) == {
        "a": ["[sealed]", {"address": "[sealed]", "b": 1}],
        "c": "in clear",
    }


async def test_messages_have_their_phase_and_their_trace(postgres: Server) -> None:
    async with served("order", postgres.database("order")) as order:
        given = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        order_id = (await order.place(**given)).json()["order_id"]
        await order.do(CancelOrder(order_id, "OUT_OF_STOCK"), id_of(order_id, ReserveStock))
        await order.do(RecordStockSettled(order_id), f"{order_id}/StockReleased")
        body = await timeline(order, order_id)
        assert told(body, "phase") == [
            ("PlaceOrder", "start"),
            ("OrderPlaced", "start"),
            ("CancelOrder", "decide"),
            ("OrderCancelled", "decide"),
            ("RecordStockSettled", "compensate"),
            ("StockSettled", "compensate"),
        ]
        assert body["trace_ids"] == [TRACE]
        assert [item["trace_id"] for item in body["items"]] == [TRACE, TRACE, None, None, None, None]


async def test_the_winner_and_the_losers_at_the_pivot_show(postgres: Server) -> None:
    async with served("order", postgres.database("order")) as order:
        order_id = (await order.place()).json()["order_id"]
        await order.do(CancelOrder(order_id, "CUSTOMER_REQUESTED"))
        await order.do(ConfirmOrder(order_id), f"{order_id}/ShipmentBooked")
        await order.do(CancelOrder(order_id, "TIMED_OUT"))
        body = await timeline(order, order_id)
        assert [one for one in told(body, "pivot") if one[1]] == [("CancelOrder", "won"), ("ConfirmOrder", "lost")]
        (second,) = body["observed"]
        assert (second["kind"], second["message"], second["pivot"]) == ("duplicate", "CancelOrder", "lost")


async def test_duplicates_and_nudges_show_and_new_commands_are_not_observed_twice(postgres: Server) -> None:
    async with served("order", postgres.database("order")) as order:
        order_id = (await order.place()).json()["order_id"]
        await order.place()
        await order.service_process.engine.dispatcher.do_all([Nudge(order_id)])
        body = await timeline(order, order_id)
        assert [(one["kind"], one["message"], one["outcome"]) for one in body["observed"]] == [
            ("duplicate", "PlaceOrder", "OrderPlaced"),
            ("nudge", "", "OrderPlaced"),
        ]
        assert all(one["at"] >= body["observed_since"] for one in body["observed"])


async def test_calls_show_with_each_attempt_and_their_answer(postgres: Server) -> None:
    provider = Scripted(OutcomeUnknown("lost"))
    fast = {"providers": "sandbox", "retry_initial": 0.05, "retry_max": 0.1}
    async with served("payment", postgres.database("payment"), provider=provider, **fast) as payment:
        await payment.service_process.engine.conclude(AuthorizePayment("o1", basket()), None, 10)
        await payment.service_process.engine.conclude(VoidPayment("o1"), "o1/OrderCancelled", 10)
        body = await timeline(payment, "o1")
        assert [(call["operation"], call["asked_by"], call["answer"], call["attempts"]) for call in body["calls"]] == [
            ("authorize", "o1/PaymentAuthorizationRequested", "PaymentAuthorized", 2),
            ("void", "o1/PaymentVoidRequested", "PaymentVoided", 1),
        ]
        attempts = [one for one in body["observed"] if one["kind"] == "call"]
        assert [(one["message"], one["attempt"]) for one in attempts] == [
            ("authorize", 1),
            ("authorize", 2),
            ("void", 1),
        ]
        assert [one["outcome"] for one in attempts] == ["unknown", "ok", "ok"]
        assert dict(told(body, "phase"))["PaymentVoidRequested"] == "compensate"
        assert dict(told(body, "phase"))["PaymentVoided"] == "compensate"
        assert dict(told(body, "phase"))["RecordAuthorization"] == "hold"


async def test_a_call_that_is_still_open_shows_how_often_it_was_tried(postgres: Server) -> None:
    provider = Scripted(*(OutcomeUnknown("lost") for _ in range(1)))
    slow = {"providers": "sandbox", "retry_initial": 60.0, "retry_max": 60.0}
    async with served("payment", postgres.database("payment"), provider=provider, **slow) as payment:
        await payment.do(AuthorizePayment("o1", basket()))
        await payment.service_process.until("SELECT attempts FROM outbox", 1)
        (call,) = (await timeline(payment, "o1"))["calls"]
        assert (call["answer"], call["answered_at"], call["attempts"]) == (None, None, 1)


async def test_who_follows_a_timeline_gets_it_and_each_change_with_its_commit(postgres: Server) -> None:
    async with served("order", postgres.database("order")) as order:
        order_id = (await order.place()).json()["order_id"]
        first = await order.get(f"/timeline/{order_id}")
        async with following(order, order_id) as news:
            assert await news() == (first.headers["etag"], first.json())
            began = time.monotonic()
            await order.do(CancelOrder(order_id, "CUSTOMER_REQUESTED"))
            tag, body = await news()
            assert time.monotonic() - began < 1.5, "a poll told it, and not the commit"
        assert ("OrderCancelled",) in told(body)
        async with following(order, order_id, {**headers(), "Last-Event-ID": first.headers["etag"]}) as news:
            assert (await news())[0] == tag, "what is known is not sent again, and what came since is"
        assert not order.service_process.engine.watcher.subscribed(order_id)


async def test_changes_that_come_together_are_one_event(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "PACE", 1.0)
    async with served("order", postgres.database("order")) as order:
        order_id = (await order.place()).json()["order_id"]
        async with following(order, order_id) as news:
            await news()
            await order.do(CancelOrder(order_id, "OUT_OF_STOCK"))
            await order.do(RecordStockSettled(order_id), f"{order_id}/StockReleased")
            _, body = await news()
        assert ("StockSettled",) in told(body)


async def test_who_follows_an_order_that_comes_is_told_and_nobody_else(postgres: Server) -> None:
    async with served("payment", postgres.database("payment"), streams_per_customer=1) as payment:
        async with following(payment, "o1", ADMIN) as news, following(payment, "o1", headers("mallory")) as strange:
            assert await news() == await strange() == ('"0"', None)
            problem(await payment.get("/timeline/o1/events", ADMIN), 429, "too_many_streams")
            await payment.do(AuthorizePayment("o1", basket()))
            assert ("AuthorizePayment",) in told((await news())[1])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(strange(), 0.3)
        async with following(payment, "o1", ADMIN) as news:
            assert (await news())[1], "a stream that was closed does not count"


async def test_a_stream_ends_after_a_while_and_when_the_process_stops(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served("order", postgres.database("order")) as order:
        order_id = (await order.place()).json()["order_id"]
        with monkeypatch.context() as short:
            short.setattr(timelines, "LONGEST", 0.2)
            ended = await asyncio.wait_for(order.get(f"/timeline/{order_id}/events"), 10)
            assert [one["order_id"] for one in _events(ended)] == [order_id]
        stopping = asyncio.create_task(order.get(f"/timeline/{order_id}/events"))
        await until(lambda: order.service_process.engine.watcher.subscribed(order_id))
        order.app.state.drain.start()
        await asyncio.wait_for(stopping, 10)
        assert not order.service_process.engine.watcher.subscribed(order_id)


async def test_a_stream_ends_when_the_database_does_not_answer(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(self: timelines.Timelines, order_id: str) -> None:
        raise StoreUnavailable("away")

    async with served("order", postgres.database("order")) as order:
        order_id = (await order.place()).json()["order_id"]
        stream = asyncio.create_task(order.get(f"/timeline/{order_id}/events"))
        await until(lambda: order.service_process.engine.watcher.subscribed(order_id))
        monkeypatch.setattr(timelines.Timelines, "of", away)
        await order.do(CancelOrder(order_id, "CUSTOMER_REQUESTED"))
        assert (await asyncio.wait_for(stream, 10)).status_code == 200
        assert not order.service_process.engine.watcher.subscribed(order_id)


async def test_activity_is_the_operators(postgres: Server) -> None:
    async with served("inventory", postgres.database("inventory"), streams_per_customer=1) as inventory:
        problem(await inventory.get("/activity"), 403, "forbidden")
        problem(await inventory.client.get("/activity"), 401, "unauthenticated")


async def test_activity_streams_what_happens_and_ends_when_the_process_stops(postgres: Server) -> None:
    async with served("inventory", postgres.database("inventory")) as inventory:
        streaming = asyncio.create_task(inventory.get("/activity", ADMIN))
        record = inventory.service_process.engine.activity
        await until(lambda: record.followed)
        await inventory.do(reserve("o1"), "o1/OrderPlaced")
        await inventory.do(reserve("o1"), "o1/OrderPlaced")
        await until(lambda: not record.behind)
        inventory.app.state.drain.start()
        told = _events(await asyncio.wait_for(streaming, 10))
        assert [(one["kind"], one["message"], one["outcome"], one["order_id"]) for one in told] == [
            ("command", "ReserveStock", "StockReserved", "o1"),
            ("duplicate", "ReserveStock", "StockReserved", "o1"),
        ]
        assert not record.followed


def _events(answer: httpx.Response) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("path", ["/timeline/none", "/timeline/%00"])
async def test_an_unknown_order_has_no_timeline(postgres: Server, path: str) -> None:
    async with served("order", postgres.database("order")) as order:
        problem(await order.get(path, headers()), 404, "not_found")

"""Overload: new orders beyond the limit of those in flight are refused, and nothing else is."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from checkout.messages import ConfirmOrder, RecordPaymentSettled, RecordShipmentSettled, RecordStockSettled
from order_service.admission import Admission, Overloaded, limit_of
from order_service.domain import COMPLETED
from order_service.in_flight_limit import LEAST, TICK, InFlightLimit
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from tests.keys import PUBLIC_KEY
from tests.postgres import Server
from tests.unit.api.served import Served, headers, order_body, problem, served
from tests.waits import until

FREE = 3


@pytest.fixture
async def order(postgres: Server) -> AsyncIterator[Served]:
    async with served("order", postgres.database("order"), admission_free=FREE, admission_latency=0.01) as this:
        yield this


def test_as_many_orders_are_admitted_at_first_as_the_mode_ends_before_their_deadline() -> None:
    def first(mode: str, **given: str) -> int:
        environ = {"TOKEN_PUBLIC_KEYS": PUBLIC_KEY, "COORDINATION_MODE": mode, **given}
        return limit_of(Settings.from_env(environ)).limit

    assert {first(mode) for mode in ("kafka", "sns-sqs-orchestration", "pubsub")} == {400}
    assert {first(mode) for mode in ("temporal", "temporal-choreography")} == {80}
    assert first("temporal", ADMISSION_FREE="7") == 7


def test_in_an_outage_the_mode_admits_more_and_the_setting_is_the_limit() -> None:
    def admitted(**given: str) -> int:
        limit = limit_of(Settings.from_env({"TOKEN_PUBLIC_KEYS": PUBLIC_KEY, "COORDINATION_MODE": "temporal", **given}))
        for ended in (1, *(0,) * 16):
            limit.observe(ended, TICK, 5.0)
        return limit.limit

    assert (admitted(), admitted(ADMISSION_FREE="7")) == (LEAST, 7)


async def fill(order: Served) -> list[str]:
    return [(await order.place(f"k{n}")).json()["order_id"] for n in range(FREE)]


async def settle(order: Served, order_id: str) -> None:
    for command in (ConfirmOrder, RecordStockSettled, RecordPaymentSettled, RecordShipmentSettled):
        await order.do(command(order_id))


def metric(order: Served, name: str) -> float | None:
    return order.service_process.metrics.registry.get_sample_value(name)


async def test_a_new_order_beyond_the_limit_is_refused_until_another_is_settled(order: Served) -> None:
    placed = await fill(order)
    refusal = await order.place("new", Prefer="wait=5")
    problem(refusal, 503, "overloaded")
    assert int(refusal.headers["Retry-After"]) >= 1
    assert await order.service_process.count("orders") == FREE
    assert (metric(order, "admission_in_flight"), metric(order, "admission_limit")) == (FREE, FREE)
    assert metric(order, "admission_refused_total") == 1
    await settle(order, placed[0])
    assert (await order.place("new")).status_code == 202
    problem(await order.place("newer"), 503, "overloaded")


async def test_at_the_limit_what_is_known_is_answered(order: Served) -> None:
    placed = await fill(order)
    await settle(order, placed[1])
    assert (await order.place("one more")).status_code == 202
    repeats = await asyncio.gather(*(order.place(key) for key in ("k0", "k1", "k2", "one more") * 3))
    assert {answer.status_code for answer in repeats} == {202}
    problem(await order.place("k0", order_body(quantity=3)), 422, "idempotency_key_reused")
    assert (await order.get("/orders")).status_code == 200
    assert (await order.get(f"/orders/{placed[0]}")).status_code == 200
    assert (await order.post(f"/orders/{placed[0]}/cancel", headers())).json()["status"] == "CANCELLED"
    problem(await order.place("new"), 503, "overloaded")


async def test_what_is_not_placed_or_only_repeated_takes_no_room(order: Served) -> None:
    for _ in range(FREE * 2):
        problem(await order.place("bad", order_body(sku="no-such")), 422, "validation")
        assert (await order.place("k0")).status_code == 202
    assert metric(order, "admission_in_flight") == 1


async def test_orders_that_another_process_settles_make_room(order: Served) -> None:
    await fill(order)
    await order.service_process.execute(
        f"UPDATE orders SET status = '{COMPLETED}', settled = true, "
        "stock_settled = true, payment_settled = true, shipment_settled = true"
    )
    problem(await order.place("new"), 503, "overloaded")
    await until(lambda: metric(order, "admission_in_flight") == 0)
    assert (await order.place("new")).status_code == 202


async def test_overload_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    async def nothing(asked: object) -> list[str]:
        return []

    now = 100.0
    limit = InFlightLimit(free=1, latency=1.5, deadline=30)
    admission = Admission(limit, nothing, Metrics(), clock=lambda: now)
    with caplog.at_level(logging.WARNING):
        async with admission.admitted("first"):
            for _ in range(40):
                with pytest.raises(Overloaded):
                    async with admission.admitted("other"):
                        raise AssertionError("there was no room")
                now += 0.5
                admission.tick()
        async with admission.admitted("other"):
            admission.tick()
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "overload: 1 new orders were refused with 503",
        "overload: 20 new orders were refused with 503",
    ]

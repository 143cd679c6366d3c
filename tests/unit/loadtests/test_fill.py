"""`make fill`: what it writes is what a run leaves, and it touches no stack with orders in flight."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import asyncpg
import msgspec
import pytest

from checkout.catalogue import CATALOGUE
from checkout.messages import SERVICES, Checkout
from checkout_audit.audit import AuditOptions, examine
from checkout_audit.ledger import Ledger
from checkout_audit.rows import OutboxRow
from checkout_audit.snapshot import Snapshot
from checkout_audit.target import Target
from inventory_service.domain import StockItem
from loadtests.fill.__main__ import fill
from loadtests.fill.baskets import Baskets, products
from loadtests.fill.book import Plan
from loadtests.fill.tables import Busy
from tests.postgres import Server, postgres_server
from tests.unit.checkout_audit import filled
from tests.unit.checkout_audit.edits import add_row

__all__ = ["postgres_server"]


class Instant(Target):
    """A stack without a sandbox."""

    async def ledger(self) -> Ledger:
        return Ledger()


@pytest.fixture
async def stack(postgres_server: Server) -> Mapping[str, str]:
    """Four databases in which nothing has happened."""
    urls = {service: postgres_server.empty() for service in SERVICES}
    await filled.fill(urls, _empty())
    return urls


def _empty() -> Snapshot:
    return Snapshot(stock=tuple(StockItem(one.sku, one.stock, one.stock) for one in CATALOGUE))


async def test_what_is_filled_in_is_consistent_also_the_second_time(stack: Mapping[str, str]) -> None:
    steps: list[tuple[int, str]] = []
    await fill(stack, Plan(orders=300, skus=1200, lines=50, zipf=1.0), lambda done, step: steps.append((done, step)))
    await fill(stack, Plan(orders=100), lambda done, step: None)
    report = await examine(Instant(stack), AuditOptions(), wait=0)
    assert [one.violations for one in report.findings] == [[]] * 10
    assert sum(report.tally.orders.values()) == 400
    assert set(report.tally.cancelled) == {"OUT_OF_STOCK", "PAYMENT_DECLINED", "CUSTOMER_REQUESTED", "TIMED_OUT"}
    assert steps[-1][0] == 300


async def indexes(url: str) -> list[str]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return [row["indexdef"] for row in await connection.fetch("SELECT indexdef FROM pg_indexes ORDER BY indexdef")]
    finally:
        await connection.close()


async def test_the_tables_have_their_indexes_again(stack: Mapping[str, str]) -> None:
    before = {service: await indexes(url) for service, url in stack.items()}
    await fill(stack, Plan(orders=20), lambda done, step: None)
    assert {service: await indexes(url) for service, url in stack.items()} == before
    assert any("UNIQUE INDEX orders_pkey" in one for one in before["order"])


async def test_a_stack_with_something_in_flight_is_refused_and_not_changed(stack: Mapping[str, str]) -> None:
    waiting = OutboxRow("one/OrderPlaced", "events", False, 0, datetime(2030, 1, 1, tzinfo=UTC))
    await filled.fill(stack, add_row("order", "outbox", waiting)(_empty()))
    with pytest.raises(Busy, match="1 messages"):
        await fill(stack, Plan(orders=20), lambda done, step: None)
    report = await examine(Instant(stack), AuditOptions(), wait=0)
    assert report.vacuous


def test_a_basket_is_written_as_the_services_write_it() -> None:
    baskets = iter(Baskets(products(100_000), 50, 1.0, Random(1)))
    for basket in (next(baskets) for _ in range(50)):
        checkout = msgspec.json.decode(basket.checkout, type=Checkout)
        assert msgspec.json.encode(checkout).decode() == basket.checkout
        assert {line.sku: line.quantity for line in checkout.lines} == basket.quantities
        assert msgspec.json.encode(basket.quantities).decode() == basket.lines
        assert checkout.total.amount == sum(line.quantity * line.unit_price.amount for line in checkout.lines)


def test_with_zipf_the_first_sku_is_hot() -> None:
    def share(zipf: float) -> float:
        baskets = iter(Baskets(products(1000), 1, zipf, Random(1)))
        hot = products(1000)[0].sku
        return sum(hot in next(baskets).quantities for _ in range(2000)) / 2000

    assert share(0.0) < 0.02
    assert share(1.0) > 0.08


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"ORDERS": "none"}, "ORDERS=none"),
        ({"SKUS": "9"}, "SKUS=9"),
        ({"LINES": "51"}, "from 1 to 50"),
        ({"ZIPF": "nan"}, "ZIPF=nan"),
    ],
)
def test_a_wrong_setting_is_named(environ: Mapping[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Plan.of(environ)


def test_settings_are_read() -> None:
    assert Plan.of({"ORDERS": "7", "ZIPF": "0.5", "SKUS": ""}) == replace(Plan(), orders=7, zipf=0.5)

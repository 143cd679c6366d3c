"""Money per million checkouts: from list prices that can be looked up, and from no others."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from loadtests.bench.money import DELIVERIES, Price, Prices, money, read_prices, sources, table
from loadtests.bench.storage import BadRecord
from loadtests.bench.summary import Spread, Summary, summarize
from quartet_stack.layout import REPOSITORY
from sagakit.modes import MODES
from tests.unit.loadtests.benches import record

TABLE = read_prices()


def price(name: str, amount: float | None, per: float = 1.0, when: str | None = "2026-01-01") -> Price:
    return Price(name, name, amount, per, when, "https://example.com" if when else None)


ALL = Prices(
    "EUR",
    (
        price("service", 0.06),
        price("database", 0.12),
        price("kafka", 0.18),
        price("sns_publish", 0.5, 1e6),
        price("sqs_request", 0.4, 1e6),
        price("pubsub_byte", 40.0, 2**40),
        price("temporal_action", 50.0, 1e6),
    ),
)


def mode(name: str) -> Summary:
    (one,) = summarize(record())
    return replace(one, mode=name, messages=Spread(9.0, 9.0, 9.0), message_bytes=Spread(5400.0, 5400.0, 5400.0))


def test_cpu_costs_its_hours_at_sixty_percent_use() -> None:
    of = money(mode("kafka-choreography"), ALL)
    assert of.services == pytest.approx(8.0 * 1e6 / 3.6e6 / 0.6 * 0.06)
    assert of.databases == pytest.approx(8.0 * 1e6 / 3.6e6 / 0.6 * 0.12)
    assert of.carrier == pytest.approx(2.0 * 1e6 / 3.6e6 / 0.6 * 0.18)


def test_a_cloud_carrier_costs_what_it_meters() -> None:
    assert money(mode("sns-sqs-choreography"), ALL).carrier == pytest.approx(9 * 0.5 + 2 * 10 * 0.4)
    assert money(mode("pubsub-choreography"), ALL).carrier == pytest.approx(5400e6 * (1 + 10 / 9) * 40 / 2**40)
    assert money(mode("temporal-orchestration"), ALL).carrier == pytest.approx(12 * 50)
    assert all(money(mode(name), ALL).carrier for name in MODES)


def test_a_price_without_amount_date_or_source_leaves_its_column_empty() -> None:
    for bad in (price("service", None), price("service", 0.06, when=None)):
        prices = Prices("EUR", (bad, *ALL.prices[1:]))
        assert money(mode("kafka-choreography"), prices).services is None
        (row,) = table([mode("kafka-choreography")], prices).rows
        assert row[1] == ""
        assert row[2] != ""
    half = Prices("EUR", (*ALL.prices[:4], price("sqs_request", None)))
    assert money(mode("sns-sqs-choreography"), half).carrier is None


def test_every_price_of_the_table_can_be_looked_up_or_is_empty() -> None:
    for one in TABLE.prices:
        if one.amount is None:
            assert one.each is None
        else:
            assert one.each
            assert date.fromisoformat(str(one.date)) <= date.today()
            assert str(one.source).startswith("https://")
    assert any("none that could be looked up" in row[3] for row in sources(TABLE).rows)
    assert {one.name for one in TABLE.prices} == {one.name for one in ALL.prices}


def test_the_deliveries_are_those_that_the_page_derives() -> None:
    page = (REPOSITORY / "docs" / "scaling.md").read_text()
    assert f"| 9 | 15 | {DELIVERIES['choreography']} | 10 |" in page
    assert f"| 12 | 17 | {DELIVERIES['orchestration']} | 12 |" in page


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text("[]")
    with pytest.raises(BadRecord, match="no table of prices"):
        read_prices(tmp_path / "prices.json")

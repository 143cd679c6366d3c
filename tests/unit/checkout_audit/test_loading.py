"""Loading, draining and auditing against real PostgreSQL servers."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from checkout.messages import SERVICES
from checkout_audit import loading
from checkout_audit.audit import AuditOptions, examine
from checkout_audit.drain import drain
from checkout_audit.errors import Unreachable
from checkout_audit.ledger import Ledger
from checkout_audit.loading import Reader, connections, load
from checkout_audit.report import judge
from checkout_audit.rows import DeadLetterRow, OutboxRow
from checkout_audit.slicing import ranges
from checkout_audit.snapshot import Snapshot
from checkout_audit.streaming import Stream
from checkout_audit.target import Target
from checkout_audit.workers import judge_side_by_side
from tests.postgres import Server
from tests.unit.checkout_audit.edits import add_row, order
from tests.unit.checkout_audit.filled import ENTITIES, fill, run_sql
from tests.unit.checkout_audit.world import INITIAL, every_kind

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def urls(postgres_server: Server) -> Mapping[str, str]:
    """The URLs of four empty databases, by service."""
    return {service: postgres_server.empty() for service in SERVICES}


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    monkeypatch.setattr(loading, "CATALOGUE", [SimpleNamespace(sku=sku, stock=n) for sku, n in INITIAL.items()])
    return every_kind().snapshot()


def sandbox(snapshot: Snapshot) -> Ledger:
    return Ledger(row for row in snapshot.ledger if row.source == "sandbox")


async def test_what_is_loaded_is_what_was_stored(urls: Mapping[str, str], clean: Snapshot) -> None:
    await fill(urls, clean)
    loaded = await load(urls, sandbox(clean))
    for table in ("orders", "reservations", "payments", "shipments", "stock", "ledger"):
        assert sorted(getattr(loaded, table), key=str) == sorted(getattr(clean, table), key=str), table
    for service, records in clean.services.items():
        assert sorted(loaded.services[service].inbox, key=str) == sorted(records.inbox, key=str)
        events = {(row.id, row.command, row.event, row.recorded_at) for row in loaded.services[service].journal}
        assert events == {(row.id, row.command, row.event, row.recorded_at) for row in records.journal}
    report = judge(loaded)
    assert [finding.violations for finding in report.findings] == [[]] * 10
    assert report.tally == judge(clean).tally


async def test_nothing_can_be_written_and_one_moment_is_seen(urls: Mapping[str, str], clean: Snapshot) -> None:
    await fill(urls, clean)
    async with connections(urls) as at:
        await run_sql(urls["order"], "UPDATE orders SET status = 'CONFIRMED'")
        statuses = await at["order"].scalar(text("SELECT count(*) FROM orders WHERE status = 'CONFIRMED'"))
        assert statuses == 0
        with pytest.raises(DBAPIError, match="read-only"):
            await at["payment"].execute(text("DELETE FROM payments"))
        await at["payment"].rollback()


class Instant(Target):
    """A target whose sandbox needs no network."""

    def __init__(self, databases: Mapping[str, str], clean: Snapshot) -> None:
        super().__init__(databases)
        object.__setattr__(self, "_clean", clean)

    async def ledger(self) -> Ledger:
        return sandbox(self._clean)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("slice_size", "processes"), [(1, 2), (4, 1), (1000, 1)])
async def test_slices_and_the_whole_give_the_same_verdict(
    slice_size: int, processes: int, urls: Mapping[str, str], clean: Snapshot
) -> None:
    await fill(urls, clean)
    target, progress = Instant(urls, clean), list[tuple[int, int]]()
    options = AuditOptions(clean.history, slice_size=slice_size, processes=processes)
    report = await examine(target, options, wait=5, on_slice=lambda done, total: progress.append((done, total)))
    assert progress[-1][0] == progress[-1][1] >= processes
    assert [finding.violations for finding in report.findings] == [[]] * 10
    at_once = judge(clean)
    assert report.tally == at_once.tally
    assert [(one.judged, one.checked) for one in report.findings] == [
        (one.judged, one.checked) for one in at_once.findings
    ]
    assert report.drained


async def test_defects_in_the_databases_are_found(urls: Mapping[str, str], clean: Snapshot) -> None:
    poisoned = add_row("order", "dead_letters", DeadLetterRow("f00", "poison", NOW))(clean)
    await fill(urls, poisoned)
    await run_sql(urls["payment"], "UPDATE payments SET status = 'AUTHORIZED' WHERE order_id = 'completed'")
    await run_sql(urls["shipping"], "UPDATE journal SET data = '{' WHERE id = 'completed/ShipmentDispatched'")
    await run_sql(urls["order"], "DELETE FROM orders WHERE order_id = 'instant'")
    report = await examine(Instant(urls, clean), wait=5)
    assert report.violated == {1, 3, 7, 8, 9}
    side_by_side = await examine(Instant(urls, clean), AuditOptions(slice_size=1, processes=2), wait=5)
    assert [(one.violated, set(one.violations)) for one in side_by_side.findings] == [
        (one.violated, set(one.violations)) for one in report.findings
    ]


async def test_a_row_that_cannot_be_read_is_a_violation_that_names_it(urls: Mapping[str, str], clean: Snapshot) -> None:
    await fill(urls, clean)
    broken = (
        ("order", "orders", "checkout = '{'"),
        ("inventory", "reservations", "lines = '[]'"),
        ("payment", "payments", "checkout = ''"),
        ("shipping", "shipments", "checkout = '[7]'"),
    )
    for service, table, change in broken:
        await run_sql(urls[service], f"UPDATE {table} SET {change} WHERE order_id = 'completed'")
    for options in (AuditOptions(), AuditOptions(slice_size=1, processes=2)):
        report = await examine(Instant(urls, clean), options, wait=5)
        unreadable = [one for one in report.findings[8].violations if "cannot be read" in one.what]
        assert {(one.subject, one.what.partition(":")[0]) for one in unreadable} == {
            ("completed", service) for service in SERVICES
        }


async def test_a_process_that_cannot_read_leaves_no_verdict(urls: Mapping[str, str], clean: Snapshot) -> None:
    await fill(urls, clean)
    async with connections(urls) as at:
        stream = Stream(Reader(at, sandbox(clean)))
        past = dict.fromkeys(SERVICES, "00000003-0000001B-1")
        slices = ranges([str(number) for number in range(1, 10)])
        with pytest.raises(Unreachable, match="a process of the audit failed"):
            judge_side_by_side(stream, urls, past, slices, 2, lambda done, total: None)


async def test_dead_letters_that_are_accounted_for_are_no_violation(urls: Mapping[str, str], clean: Snapshot) -> None:
    poisoned = add_row("order", "dead_letters", DeadLetterRow("f00", "poison", NOW))(clean)
    await fill(urls, poisoned)
    accounted = await examine(Instant(urls, clean), AuditOptions(accounted=frozenset({"f00"})), wait=5)
    assert accounted.consistent


async def test_only_what_changed_since_is_checked_but_stock_and_keys_for_all(
    urls: Mapping[str, str], clean: Snapshot
) -> None:
    await fill(urls, clean)
    for service, table in ENTITIES.items():
        await run_sql(urls[service], f"UPDATE {table} SET created_at = '2030-01-01'")
    await run_sql(urls["order"], "UPDATE orders SET updated_at = '2030-01-01'")
    last = max(row.recorded_at for row in clean.services["order"].journal)
    recent = await examine(Instant(urls, clean), AuditOptions(since=last), wait=5)
    assert recent.consistent
    assert recent.tally.orders == {"COMPLETED": 1}
    assert recent.findings[4].checked == len(clean.stock)
    await run_sql(
        urls["shipping"], "UPDATE shipments SET status = 'BOOKED' WHERE order_id IN ('completed', 'lost-cancel')"
    )
    await run_sql(urls["inventory"], "UPDATE reservations SET lines = '{\"cup\"\\:1}' WHERE order_id = 'completed'")
    report = await examine(Instant(urls, clean), AuditOptions(since=last), wait=5)
    assert report.violated == {3, 5, 9}
    assert {one.subject for one in report.findings[2].violations} == {"lost-cancel"}
    assert "changed since" in report.notes[-1]


async def test_draining_waits_for_orders_messages_and_calls(urls: Mapping[str, str], clean: Snapshot) -> None:
    busy = order("declined", status="PENDING", settled=False, payment_settled=False)(clean)
    busy = add_row("payment", "outbox", OutboxRow("declined/void", "provider", True, 0, NOW))(busy)
    busy = add_row("order", "outbox", OutboxRow("declined/OrderPlaced", "events", False, 0, NOW))(busy)
    await fill(urls, busy)
    left = await drain(urls, 0.1)
    assert (left.orders, left.messages, left.calls) == (1, 1, 1)
    report = await examine(Instant(urls, clean), wait=0.1)
    assert not report.drained
    assert {2, 8} <= report.violated
    await fill(urls, replace(clean))
    assert not await drain(urls, 5)


@pytest.mark.parametrize("lines", ["{", "[]", '{"cup"\\:"two"}', '{"cup"\\:99999999999999999999}', ""])
async def test_a_part_that_cannot_add_up_the_stock_says_which_audit_names_the_order(
    lines: str, urls: Mapping[str, str], clean: Snapshot
) -> None:
    await fill(urls, clean)
    await run_sql(urls["inventory"], f"UPDATE reservations SET lines = '{lines}' WHERE order_id = 'completed'")
    with pytest.raises(Unreachable, match="cannot be added up; make audit without SINCE names the order"):
        await examine(Instant(urls, clean), AuditOptions(since=NOW), wait=5)
    whole = await examine(Instant(urls, clean), wait=5)
    assert {one.subject for one in whole.findings[8].violations} == {"completed"}

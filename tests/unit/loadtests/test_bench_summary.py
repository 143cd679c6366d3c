"""Figures per completed order: idle CPU is subtracted, medians with intervals are taken over the runs."""

from dataclasses import replace

import pytest

from loadtests.bench.record import Log, Usage
from loadtests.bench.summary import Spread, confidence, summarize
from tests.unit.loadtests.benches import KAFKA, PLAN, PROGRAMS, record, run


def test_cost_per_order_is_without_what_an_idle_stack_uses() -> None:
    (summary,) = summarize(record())
    assert summary.services.median == pytest.approx(4 * 2.0)
    assert summary.databases.median == pytest.approx(4 * 2.0)
    assert summary.carrier.median == pytest.approx(2.0)
    assert summary.provider.median == 0
    assert summary.cpu.median == pytest.approx(18.0)
    assert summary.idle.median == pytest.approx(9 * 0.5)  # 25 ms in 5 s is half a percent of a core


def test_work_per_order_is_summed_over_the_services() -> None:
    (summary,) = summarize(record())
    assert summary.transactions.median == 8
    assert summary.batch.median == 1.5
    assert summary.messages.median == 10
    assert summary.message_bytes.median == 5_000
    assert summary.writes.median == 12
    assert summary.wal_bytes.median == 16_000
    assert summary.parts["payment"].seconds == pytest.approx(0.002)
    assert summary.parts["payment"].database_cpu == pytest.approx(2.0)


def test_the_median_of_few_runs_comes_with_their_range() -> None:
    runs = [run(number=number, logs={"order": Log(100 * size, 300)}) for number, size in enumerate((7, 1, 2), 1)]
    with pytest.raises(KeyError):
        summarize(record(*runs))  # a database is missing
    runs = [replace(one, logs={**run().logs, "order": one.logs["order"]}) for one in runs]
    (summary,) = summarize(record(*runs))
    assert summary.wal_bytes == Spread(12_002.0, 12_001.0, 12_007.0)
    assert (summary.runs, summary.placed) == (3, 300)


def test_the_interval_of_many_runs_leaves_out_the_odd_one_and_is_the_same_each_time() -> None:
    rates = [5.0, 5.1, 4.9, 5.0, 5.2, 4.8, 5.1, 4.9, 5.0, 50.0]
    runs = [run(number=number, seen=replace(run().seen, rate=rate)) for number, rate in enumerate(rates, 1)]
    (summary,) = summarize(record(*runs))
    assert summary.rate.median == pytest.approx(5.0)
    assert 4.8 <= summary.rate.low <= 5.0 <= summary.rate.high < 6.0
    assert summarize(record(*runs)) == [summary]


def test_a_program_that_used_less_than_when_idle_costs_nothing() -> None:
    (summary,) = summarize(record(run(load=Usage(20.0, dict.fromkeys(PROGRAMS, 90.0)))))
    assert summary.cpu == Spread(0.0, 0.0, 0.0)


def test_without_an_idle_measurement_nothing_is_subtracted() -> None:
    (summary,) = summarize(record(run(idle=Usage(0.0, dict.fromkeys(PROGRAMS, 0.0)))))
    assert summary.carrier.median == pytest.approx(3.0)
    assert summary.idle.median == 0


def test_a_run_without_a_completed_order_has_no_figures() -> None:
    assert summarize(record(run(orders=0))) == []
    (summary,) = summarize(record(run(orders=0), run()))
    assert summary.runs == 1


def test_the_provider_sandbox_is_neither_service_nor_carrier() -> None:
    usage = run().load
    more = run(load=replace(usage, cpu={**usage.cpu, "provider": 500.0}))
    (summary,) = summarize(record(more))
    assert summary.provider.median == pytest.approx(5.0)
    assert summary.carrier.median == pytest.approx(2.0)


def test_modes_come_in_the_order_of_the_plan_and_the_busiest_process_is_named() -> None:
    usage = run().load
    busy = run(load=replace(usage, cpu={**usage.cpu, "shipping": 900.0}))
    both = replace(
        record(run(), replace(busy, mode="pubsub-choreography")),
        plan=replace(PLAN, modes=("pubsub-choreography", KAFKA)),
    )
    first, second = summarize(both)
    assert (first.mode, first.busiest, first.substrate) == ("pubsub-choreography", "shipping", "pubsub")
    assert second.mode == KAFKA


def test_one_run_whose_audit_is_not_clean_is_enough() -> None:
    (summary,) = summarize(record(run(), run(consistent=False), run()))
    assert not summary.consistent
    (summary,) = summarize(record(run(), run(drained=False)))
    assert not summary.consistent


def test_each_rate_of_a_mode_is_summarized_on_its_own() -> None:
    both = replace(record(run(), run(offered=8.0), run(offered=8.0)), plan=replace(PLAN, rates=(5.0, 8.0)))
    assert [(one.label, one.runs) for one in summarize(both)] == [(f"{KAFKA} at 5/s", 1), (f"{KAFKA} at 8/s", 2)]


@pytest.mark.parametrize(("runs", "sure"), [(1, 0.0), (3, 0.75), (5, 0.9375), (6, 0.95)])
def test_an_interval_of_few_runs_is_less_sure_than_95_percent(runs: int, sure: float) -> None:
    assert confidence(runs) == sure

"""The bench's own checks catch what was planted in synthetic runs, and find nothing in good ones."""

import re
from dataclasses import replace

import pytest

from loadtests.bench.checks import NotComparable, cells, comparable, findings
from loadtests.bench.record import Discarded, Door, Record
from loadtests.bench.summary import Spread
from tests.unit.loadtests.benches import KAFKA, bench, mode, run

SNS, PUBSUB = "sns-sqs-choreography", "pubsub-choreography"
GOOD = bench(*mode(KAFKA), *mode(SNS, latency=60.0), *mode(PUBSUB, latency=90.0, door=3.0))
DELIVERIES = 4
"""That follow one another until an order is confirmed."""
STALL = 50.0
"""ms"""


def test_nothing_is_found_in_a_good_bench_nor_in_one_that_is_like_its_baseline() -> None:
    assert findings(GOOD) == []
    assert findings(GOOD, GOOD) == []
    assert all(cell.overlap for cell in cells(GOOD, GOOD))


def test_half_of_an_interval_is_told_as_a_part_of_its_figure() -> None:
    assert Spread(20.0, 18.0, 24.0).half_width == pytest.approx(0.15)
    assert Spread(0.0, 0.0, 1.0).half_width == 0


def test_a_stall_in_each_delivery_is_found_against_a_baseline() -> None:
    stalled = bench(*mode(KAFKA, latency=20.0 + DELIVERIES * STALL), *mode(SNS, latency=60.0), *GOOD.runs[6:])
    found = findings(stalled, GOOD)
    assert found == [
        f"{KAFKA}: p50 ms 220 (209–231), in the baseline 20.0 (19.0–21.0)",
        f"{KAFKA}: p99 ms 660 (627–693), in the baseline 60.0 (57.0–63.0)",
    ]
    assert sum(not cell.overlap for cell in cells(GOOD, stalled)) == 2


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (
            replace(GOOD, machine=replace(GOOD.machine, cores=64)),
            "machine is 64 cores (a processor), here it is",
        ),
        (replace(GOOD, plan=replace(GOOD.plan, providers="sandbox")), "PROVIDERS is sandbox, here it is instant"),
        (replace(GOOD, plan=replace(GOOD.plan, rates=(8.0,))), "no mode at a RATE of this bench"),
    ],
)
def test_a_baseline_that_says_nothing_about_this_bench_is_refused(baseline: Record, said: str) -> None:
    with pytest.raises(NotComparable, match=re.escape(said)):
        comparable(baseline, GOOD)


def test_a_baseline_of_other_runs_of_the_same_modes_may_be_compared() -> None:
    comparable(replace(GOOD, plan=replace(GOOD.plan, runs=9, modes=(KAFKA,))), GOOD)


def test_a_stall_at_the_door_is_found_without_a_baseline() -> None:
    stalled = bench(*mode(KAFKA, door=2.0 + STALL), *GOOD.runs[3:])
    assert findings(stalled) == [
        f"{KAFKA}: a transaction takes 52.0 (49.4–54.6) ms, more than 3 times the 2.50 ms of the other modes"
    ]


def test_of_two_modes_nobody_can_say_which_one_stalls() -> None:
    assert findings(bench(*mode(KAFKA, door=2.0 + STALL), *mode(SNS))) == []


def test_intervals_that_do_not_overlap_are_no_finding_if_the_figure_is_better_or_within_the_tolerance() -> None:
    better = bench(*mode(KAFKA, latency=5.0), *GOOD.runs[3:])
    slightly = bench(*mode(KAFKA, latency=24.0), *GOOD.runs[3:])
    for record in (better, slightly):
        assert sum(not cell.overlap for cell in cells(GOOD, record)) == 2
        assert findings(record, GOOD) == []


def test_a_smaller_part_of_the_orders_that_completed_is_worse() -> None:
    slow = [replace(one, seen=replace(one.seen, timed_out=40)) for one in GOOD.runs[:3]]
    found = findings(bench(*slow, *GOOD.runs[3:]), GOOD)
    assert found[-1] == f"{KAFKA}: completed % 60.0, in the baseline 100"


@pytest.mark.parametrize(
    ("record", "finding"),
    [
        (bench(run(consistent=False), run(), run()), "the audit is not clean"),
        (bench(run(drained=False), run(), run()), "the stack has not drained"),
        (bench(run(orders=0), run(), run()), "no order completed"),
        (bench(run(seen=replace(run().seen, timed_out=2)), run(), run()), "2 orders timed out"),
        (bench(run(seen=replace(run().seen, failed=1)), run(), run()), "1 orders failed"),
        (
            bench(run(seen=replace(run().seen, placed=59)), run(), run()),
            "59 orders were placed instead of about 100: the load generator fell behind",
        ),
    ],
)
def test_a_run_that_went_wrong_is_named(record: Record, finding: str) -> None:
    assert findings(record) == [f"{KAFKA} at 5/s, run 1: {finding}"]


def test_arrivals_vary_as_chance_makes_them() -> None:
    assert findings(bench(run(seen=replace(run().seen, placed=60)), run(), run())) == []


def test_a_lost_settle_is_found_in_a_discarded_run_as_well() -> None:
    discarded = Discarded(run(consistent=False), "the host took 5.0 %")
    assert findings(replace(bench(*mode(KAFKA)), discarded=(discarded,))) == [
        f"{KAFKA} at 5/s, run 1, discarded: the audit is not clean"
    ]


def test_settings_that_differ_between_modes_and_runs_that_are_missing_are_named() -> None:
    durable, lax = run(), run(number=2, settings={"RETRY_MAX": "5", "fsync": "off"})
    assert findings(bench(durable, lax)) == [
        "1 of 3 planned runs are missing",
        "fsync is not the same in all runs: off, on",
    ]


def test_a_door_without_transactions_takes_no_time() -> None:
    idle = [replace(one, doors=dict.fromkeys(one.doors, Door(0, 0, 0.0, 0, 0))) for one in mode(SNS)]
    assert findings(bench(*mode(KAFKA), *idle, *mode(PUBSUB))) == []

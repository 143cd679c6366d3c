"""The kills of many runs: what is still to be done, and whether the bounds hold."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from tests.chaos.kills import Shopper
from tests.chaos.recovery import Kill, judge, judged, missing, p95, read
from tests.e2e.stack import Stack

KILL = Kill("kafka-choreography", "order", 1, accepted=1.0, completed=3.0, settled=2.0, before=20, after=20, wrong=0)


def test_what_is_on_record_is_not_done_again_and_a_line_that_was_cut_off_is(tmp_path: Path) -> None:
    record = tmp_path / "kills.jsonl"
    assert read(record) == []
    second = replace(KILL, service="payment")
    record.write_text("\n".join(json.dumps(asdict(one)) for one in (KILL, second))[:-5])
    assert read(record) == [KILL]
    assert missing(read(record), KILL.mode, 2) == [
        *[("payment", 1), ("inventory", 1), ("shipping", 1)],
        *[("order", 2), ("payment", 2), ("inventory", 2), ("shipping", 2)],
    ]
    assert len(missing(read(record), "temporal-orchestration", 2)) == 8


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"accepted": 2.01}, False),
        ({"completed": 8.01}, False),
        ({"settled": 15.01}, False),
        ({"after": 18}, False),
        ({"after": 19}, True),
        ({"wrong": 1}, False),
    ],
)
def test_each_bound_is_held(changed: dict[str, float], holds: bool) -> None:
    assert judged([replace(KILL, **changed)])[0] is holds  # type: ignore[arg-type]
    assert judge([KILL, replace(KILL, service="payment", **changed)], Console(quiet=True)) is holds  # type: ignore[arg-type]


def test_one_slow_start_in_twenty_is_within_the_percentile_and_two_are_not() -> None:
    assert p95([1.0] * 19 + [9.0]) == 1.0
    assert p95([1.0] * 18 + [9.0] * 2) == 9.0


def test_in_the_calm_only_orders_count_that_were_placed_in_it() -> None:
    shopper = Shopper(cast(Stack, None), rate=1)
    shopper.placed = {"waited since the kill": 9.9, "calm": 10.0, "cancelled": 11.0, "in flight": 14.9}
    shopper.ended = {"waited since the kill": (10.1, "COMPLETED"), "calm": (10.2, "COMPLETED")}
    shopper.ended |= {"cancelled": (11.5, "CANCELLED"), "in flight": (15.1, "COMPLETED")}
    assert shopper.calm(10.0) == 1


def test_no_kills_prove_nothing() -> None:
    assert not judge([], Console(quiet=True))

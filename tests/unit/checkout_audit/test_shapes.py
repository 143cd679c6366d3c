"""The verdict by shape is the verdict on each order by itself, for every mutant and for orders of every kind."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from checkout_audit.audit import AuditOptions, judged
from checkout_audit.report import Report, judge
from checkout_audit.snapshot import Snapshot
from checkout_audit.tables import ALL
from tests.unit.checkout_audit.copied import Copied
from tests.unit.checkout_audit.mutants import MUTANTS, Mutant
from tests.unit.checkout_audit.renamed import renamed, together
from tests.unit.checkout_audit.world import every_kind


@pytest.fixture(scope="module")
def clean() -> Snapshot:
    return every_kind().snapshot()


def streamed(snapshot: Snapshot) -> tuple[Report, list[str]]:
    asked: list[str] = []
    reader: Any = Copied(snapshot, asked)
    options = AuditOptions(snapshot.history, accounted=snapshot.accounted)
    return asyncio.run(judged(reader, [ALL], options, lambda done, total: None)), asked


def findings(report: Report) -> list[Any]:
    return [
        (one.invariant.number, one.judged, one.checked, sorted((v.subject, v.what) for v in one.violations))
        for one in report.findings
    ]


def test_orders_of_one_shape_are_read_as_values_once(clean: Snapshot) -> None:
    many = together(*(renamed(clean, f"{number}") for number in range(5)))
    report, asked = streamed(many)
    assert findings(report) == findings(judge(many))
    assert report.tally == judge(many).tally
    assert len(asked) == len(streamed(renamed(clean, "once"))[1])


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.caught_by}: {mutant.name}")
def test_the_verdict_by_shape_is_the_plain_verdict(mutant: Mutant, clean: Snapshot) -> None:
    mutated = replace(mutant.mutate(clean), history=clean.history) if mutant.caught_by != 10 else mutant.mutate(clean)
    both = together(renamed(clean, "sound"), renamed(mutated, "mutated"))
    report, _ = streamed(both)
    assert findings(report) == findings(judge(both))
    assert report.tally == judge(both).tally
    assert mutant.caught_by in report.violated


@pytest.mark.parametrize("seed", range(30))
def test_the_verdict_by_shape_is_the_plain_verdict_for_random_books(seed: int, clean: Snapshot) -> None:
    dice = Random(seed)
    books = [clean] * dice.randint(1, 3) + [_damaged(clean, dice) for _ in range(dice.randint(1, 4))]
    dice.shuffle(books)
    all_books = together(*(_hurried(renamed(book, f"{n}"), dice) for n, book in enumerate(books)))
    report, _ = streamed(all_books)
    assert findings(report) == findings(judge(all_books)), f"seed {seed}"
    assert report.tally == judge(all_books).tally, f"seed {seed}"


def _damaged(book: Snapshot, dice: Random) -> Snapshot:
    """A book with some defects; one that has no place any more after another is left out."""
    for mutant in dice.sample(MUTANTS, dice.randint(1, 4)):
        with suppress(AssertionError, StopIteration):
            book = mutant.mutate(book)
    return book


def _hurried(book: Snapshot, dice: Random) -> Snapshot:
    """The same with a clock in one service that is wrong by less or more than is tolerated."""
    service, wrong = dice.choice(list(book.services)), timedelta(milliseconds=dice.choice([0, 30, 90, 110, 200]))
    mine = book.services[service]
    inbox = tuple(replace(row, claimed_at=row.claimed_at - wrong) for row in mine.inbox)
    return replace(book, services={**book.services, service: replace(mine, inbox=inbox)})

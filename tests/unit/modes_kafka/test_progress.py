"""The bookkeeping of a consumer's progress, without a broker."""

import random
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord, TopicPartition

from sagakit.modes.kafka.progress import Progress

P = TopicPartition("quartet.one", 0)


def record(offset: int, partition: int = 0) -> Any:
    body = b"%d" % offset
    return ConsumerRecord("quartet.one", partition, offset, 0, 0, b"key", body, None, 3, len(body), ())


def test_nothing_is_committed_beyond_the_oldest_unfinished_record() -> None:
    progress = Progress()
    first, second, third = progress.hand_out([progress.take(record(offset)) for offset in (5, 6, 7)])
    assert progress.to_commit() == {}
    progress.finish(second)
    progress.finish(third)
    assert progress.to_commit() == {}
    progress.finish(first)
    assert progress.to_commit() == {P: 8}
    progress.committed({P: 8})
    assert progress.to_commit() == {}


def test_skipped_records_are_done_but_hold_for_those_before_them() -> None:
    progress = Progress()
    (first,) = progress.hand_out([progress.take(record(0))])
    progress.skip(record(1))
    assert progress.to_commit() == {}
    progress.finish(first)
    assert progress.to_commit() == {P: 2}


def test_a_failed_delivery_comes_again_when_due_and_keeps_its_offset_open() -> None:
    progress = Progress()
    first, second = progress.hand_out([progress.take(record(offset)) for offset in (0, 1)])
    progress.finish(second)
    progress.retry(first, due=10.0)
    assert progress.idle.is_set()
    assert progress.due(9.9) == []
    assert progress.pause(9.0, 0.5) == 1.0
    (again,) = progress.hand_out(progress.due(10.0))
    assert (again.attempt, progress.to_commit()) == (2, {})
    progress.finish(again)
    assert progress.to_commit() == {P: 2}


def test_what_was_handed_out_and_never_settled_comes_again_in_the_same_attempt() -> None:
    progress = Progress()
    progress.hand_out([progress.take(record(0))])
    assert not progress.idle.is_set()
    progress.reclaim()
    assert [delivery.attempt for delivery in progress.due(0.0)] == [1]


def test_a_delivery_that_is_kept_back_is_the_same_attempt_and_counts_how_often() -> None:
    progress = Progress()
    (delivery,) = progress.hand_out([progress.take(record(0))])
    for times in range(1, 4):
        progress.retry(delivery, due=1.0, counts=False)
        assert len(progress) == 1
        (delivery,) = progress.hand_out(progress.due(1.0))
        assert (delivery.attempt, delivery.receipt.kept, progress.to_commit()) == (1, times, {})
    progress.finish(delivery)
    assert progress.to_commit() == {P: 1}


def test_the_following_offset_is_behind_the_last_record_received() -> None:
    progress = Progress()
    assert progress.following(P) is None
    progress.take(record(3))
    progress.skip(record(4))
    assert progress.following(P) == 5
    progress.forget()
    assert progress.following(P) is None


def test_settling_after_a_revocation_changes_nothing() -> None:
    progress = Progress()
    (stale,) = progress.hand_out([progress.take(record(0))])
    progress.forget()
    (fresh,) = progress.hand_out([progress.take(record(0))])
    progress.finish(stale)
    progress.retry(stale, due=0.0)
    assert (progress.to_commit(), progress.due(1.0)) == ({}, [])
    progress.finish(fresh)
    assert progress.to_commit() == {P: 1}


def test_a_log_that_began_anew_is_followed_from_its_beginning() -> None:
    progress = Progress()
    (old,) = progress.hand_out([progress.take(record(40))])
    (new,) = progress.hand_out([progress.take(record(0))])
    progress.finish(old)
    assert progress.to_commit() == {}
    progress.finish(new)
    assert progress.to_commit() == {P: 1}


@pytest.mark.parametrize("seed", range(50))
def test_whatever_happens_every_offset_before_a_commit_is_finished(seed: int) -> None:
    chance, progress = random.Random(seed), Progress()
    begin, following, finished, held = 0, 0, set[int](), list[Any]()
    for _ in range(300):
        what = chance.choice(["take", "take", "skip", "finish", "finish", "repeat", "stale", "revoke"])
        if what == "take":
            held += progress.hand_out([progress.take(record(following))])
        if what == "skip":
            progress.skip(record(following))
            finished.add(following)
        if what in ("take", "skip"):
            following += 1
        if what == "finish" and held:
            delivery = held.pop(chance.randrange(len(held)))
            progress.finish(delivery)
            finished.add(delivery.receipt.record.offset)
        if what == "repeat" and held:
            progress.retry(held.pop(chance.randrange(len(held))), due=0.0)
            held += progress.hand_out(progress.due(0.0))
        if what == "revoke" and chance.random() < 0.1:
            stale = list(held)
            progress.forget()
            following, held = begin, []
            for delivery in stale:
                progress.finish(delivery)
        for offset in progress.to_commit().values():
            assert set(range(offset)) <= finished, f"seed {seed}"
            begin = max(begin, offset)
        progress.committed(progress.to_commit())

"""Groups of tests are ordered so that two stacks run at a time, with brokers beside them, and no long group is last."""

from tests.suite.turns import STACKS_AT_A_TIME, turns

STACKS = {f"stack {number}": 100.0 + number for number in range(9)}
BROKERS = {f"broker {number}": 60.0 + number for number in range(7)}
SMALL = {f"unit {number}": 5.0 for number in range(10)}


def _is_stack(group: str) -> bool:
    return group in STACKS


def _played(order: list[str], seconds: dict[str, float], workers: int) -> tuple[float, list[tuple[float, float, str]]]:
    """The end, and begin and end of each group, when each worker takes the next as soon as it is done."""
    free, spans = [0.0] * workers, []
    for group in order:
        begin = min(free)
        free[free.index(begin)] = begin + seconds[group]
        spans.append((begin, begin + seconds[group], group))
    return max(free), spans


def test_every_group_gets_one_turn() -> None:
    seconds = STACKS | BROKERS | SMALL
    assert sorted(turns(seconds, _is_stack, 3)) == sorted(seconds)
    assert turns({}, _is_stack, 3) == []


def test_the_longest_stack_begins() -> None:
    assert turns(STACKS | BROKERS, _is_stack, 3)[0] == "stack 8"


def test_two_stacks_run_at_a_time_while_there_is_something_else() -> None:
    seconds = STACKS | BROKERS
    _, spans = _played(turns(seconds, _is_stack, 3), seconds, 3)
    last_broker = max(begin for begin, _, group in spans if group in BROKERS)
    for begin, _, _ in spans:
        running = [group for start, end, group in spans if start <= begin < end and group in STACKS]
        assert len(running) <= STACKS_AT_A_TIME or begin > last_broker


def test_no_worker_waits_for_long_for_another_to_end() -> None:
    seconds = STACKS | BROKERS | SMALL
    for workers in (2, 3, 4):
        end, _ = _played(turns(seconds, _is_stack, workers), seconds, workers)
        stacks_alone = sum(STACKS.values()) / STACKS_AT_A_TIME
        assert end <= 1.1 * max(sum(seconds.values()) / workers, stacks_alone)


def test_one_worker_does_all() -> None:
    assert len(turns(STACKS | BROKERS, _is_stack, 1)) == len(STACKS | BROKERS)

"""Groups of tests take turns: two stacks run at a time, with something beside them, and no long group is last."""

from collections.abc import Mapping

import pytest

from sagakit.modes import MODES
from tests.suite.turns import COMPUTING, MEASURING, STACK, STACKS_AT_A_TIME, WAITING, group, kind, next_group

STACKS = {mode: 100.0 + number for number, mode in enumerate(MODES)} | {"tests/e2e/test_chaos.py": 250.0}
BROKERS = {f"tests/modes/test_{number}.py": 60.0 + number for number in range(7)}
UNITS = {f"tests/unit/{number}": 5.0 * number for number in range(10)}
Spans = list[tuple[float, float, str]]


def played(seconds: Mapping[str, float], workers: int) -> tuple[float, Spans]:
    """The end, and begin and end of each group, when each worker takes the next as soon as it is done."""
    left = sorted(seconds, key=lambda name: -seconds[name])
    free, spans = dict.fromkeys(range(workers), 0.0), Spans()
    has = dict[int, str]()
    while free:
        worker = min(free, key=lambda one: free[one])
        now = free.pop(worker)
        has.pop(worker, None)
        name = next_group(left, [[one] for one in has.values()])
        if name is not None:
            left.remove(name)
            free[worker], has[worker] = now + seconds[name], name
            spans.append((now, free[worker], name))
    return max((end for _, end, _ in spans), default=0.0), spans


def running(spans: Spans, at: float, wanted: str) -> int:
    return sum(1 for begin, end, name in spans if begin <= at < end and kind(name) == wanted)


@pytest.mark.parametrize(
    ("nodeid", "name", "what"),
    [
        ("tests/e2e/test_checkout.py::test_it[kafka-choreography-good]", "kafka-choreography", STACK),
        ("tests/e2e/test_chaos.py::test_it[no-inbox]", "tests/e2e/test_chaos.py", STACK),
        ("tests/e2e/test_bench.py::test_it", "tests/e2e/test_bench.py", MEASURING),
        ("tests/modes/test_kafka.py::TestKafka::test_it", "tests/modes/test_kafka.py", WAITING),
        ("tests/unit/api/test_orders.py::test_it[a::b]", "tests/unit/api", COMPUTING),
        ("tests/simulation/test_plants.py::test_it", "tests/simulation/test_plants.py", COMPUTING),
    ],
)
def test_a_group_and_its_kind_follow_from_the_test(nodeid: str, name: str, what: str) -> None:
    assert group(nodeid) == name
    assert kind(name) == what


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seconds", [STACKS | BROKERS | UNITS, STACKS, BROKERS | UNITS, {}])
def test_every_group_gets_one_turn_and_never_more_than_two_stacks_run(seconds: dict[str, float], workers: int) -> None:
    _, spans = played(seconds, workers)
    assert sorted(name for _, _, name in spans) == sorted(seconds)
    assert all(running(spans, begin, STACK) <= STACKS_AT_A_TIME for begin, _, _ in spans)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_benchmark_comes_last_with_nothing_beside_it(workers: int) -> None:
    end, spans = played(STACKS | BROKERS | UNITS | {"tests/e2e/test_bench.py": 999.0}, workers)
    (begin,) = (begin for begin, _, name in spans if name == "tests/e2e/test_bench.py")
    assert all(ended <= begin for _, ended, name in spans if name != "tests/e2e/test_bench.py")
    assert begin + 999 == end


def test_the_longest_stacks_begin() -> None:
    _, spans = played(STACKS | BROKERS | UNITS, 4)
    assert {name for begin, _, name in spans if begin == 0} >= {"tests/e2e/test_chaos.py", list(MODES)[-1]}


def test_beside_two_stacks_one_computes_while_there_is_something_to_wait_for() -> None:
    _, spans = played(STACKS | BROKERS | UNITS, 4)
    last_broker = max(begin for begin, _, name in spans if name in BROKERS)
    assert all(running(spans, begin, COMPUTING) <= 1 for begin, _, _ in spans if begin < last_broker)


def test_no_worker_waits_for_long_for_another_to_end() -> None:
    seconds = STACKS | BROKERS | UNITS
    for workers in (2, 3, 4):
        end, _ = played(seconds, workers)
        stacks_alone = sum(STACKS.values()) / STACKS_AT_A_TIME
        assert end <= 1.1 * max(sum(seconds.values()) / workers, stacks_alone)


def test_a_worker_that_has_the_next_stack_already_counts_once() -> None:
    left = ["kafka-choreography", "tests/unit/api"]
    both = ["pubsub-choreography", "tests/e2e/test_chaos.py"]
    assert next_group(left, [both]) == "kafka-choreography"
    assert next_group(left, [both, ["temporal-choreography"]]) == "tests/unit/api"
    assert next_group(left[:1], [both, ["temporal-choreography"]]) is None

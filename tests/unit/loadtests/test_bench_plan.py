"""The settings of a bench: valid values, and the message for a wrong one."""

import pytest

from loadtests.bench.plan import plan, stack_settings
from quartet_stack.errors import StackError
from quartet_stack.settings import PORTS, resolve
from sagakit.modes import MODES


def test_without_settings_every_mode_runs_three_times() -> None:
    chosen = plan({})
    assert chosen.modes == tuple(MODES)
    assert (chosen.runs, chosen.rate, chosen.duration, chosen.warmup, chosen.idle) == (3, 5, 20, 5, 5)
    assert (chosen.providers, chosen.seed) == ("instant", 1)


def test_modes_are_taken_by_alias_in_the_given_order_and_once() -> None:
    chosen = plan({"MODES": "kafka, temporal,kafka-choreography"})
    assert chosen.modes == ("kafka-choreography", "temporal-orchestration")


def test_modes_take_turns() -> None:
    chosen = plan({"MODES": "kafka,pubsub", "RUNS": "2"})
    kafka, pubsub = chosen.modes
    assert list(chosen.turns()) == [(1, kafka), (1, pubsub), (2, kafka), (2, pubsub)]


@pytest.mark.parametrize(
    ("name", "value", "listed"),
    [
        ("MODES", "kafka,smoke-signals", "temporal-orchestration"),
        ("RUNS", "0", "1 or more"),
        ("RUNS", "1.5", "whole number"),
        ("RATE", "0", "0.1 or more"),
        ("RATE", "inf", "0.1 or more"),
        ("RATE", "nan", "0.1 or more"),
        ("DURATION", "1.5", "whole number"),
        ("WARMUP", "-1", "0 or more"),
        ("IDLE", "a while", "number"),
        ("SEED", "x", "whole number"),
        ("PROVIDERS", "paypal", "sandbox, instant"),
        ("BENCH_PORT_OFFSET", "70000", "65535"),
    ],
)
def test_a_wrong_value_is_one_line_that_says_what_is_valid(name: str, value: str, listed: str) -> None:
    with pytest.raises((ValueError, StackError)) as refused:
        plan({name: value})
    message = str(refused.value)
    assert name.removeprefix("BENCH_") in message
    assert listed in message
    assert "\n" not in message


def test_its_stack_shares_no_port_and_no_folder_with_the_one_that_the_environment_describes() -> None:
    environ = {"STACK_DIR": ".stack/mine", "PORT_OFFSET": "100", "ORDER_PORT": "9000", "REPLICAS": "3"}
    mine, own = resolve(environ), resolve({**environ, **stack_settings(plan(environ), environ)})
    assert not {mine.port(name) for name in PORTS} & {own.port(name) for name in PORTS}
    assert mine.layout.root != own.layout.root
    assert own["REPLICAS"] == "1"


def test_its_ports_are_below_those_that_the_system_hands_out_to_clients() -> None:
    own = resolve(stack_settings(plan({}), {}))
    assert max(own.port(name) for name in PORTS) < 32768

"""The settings of a bench: valid values, and the message for a wrong one."""

import pytest

from loadtests.bench.parts import PARTS
from loadtests.bench.plan import command, plan, stack_settings
from quartet_stack.errors import StackError
from quartet_stack.settings import PORTS, resolve
from sagakit.modes import MODES


def test_without_settings_every_mode_runs_three_times() -> None:
    chosen = plan({})
    assert chosen.modes == tuple(MODES)
    assert (chosen.runs, chosen.rates, chosen.duration, chosen.warmup, chosen.idle) == (3, (5.0,), 20, 5, 5)
    assert (chosen.providers, chosen.seed) == ("instant", 1)


def test_modes_are_taken_by_alias_in_the_given_order_and_once() -> None:
    chosen = plan({"MODES": "kafka, temporal,kafka-choreography"})
    assert chosen.modes == ("kafka-choreography", "temporal-orchestration")


def test_each_round_has_every_mode_at_every_rate_once() -> None:
    chosen = plan({"RUNS": "4", "RATE": "8, 2,8"})
    assert chosen.rates == (2.0, 8.0)
    cells = sorted((mode, rate) for mode in MODES for rate in (2.0, 8.0))
    turns = chosen.turns()
    for number in range(4):
        rounds = turns[number * len(cells) : (number + 1) * len(cells)]
        assert {turn.number for turn in rounds} == {number + 1}
        assert sorted((turn.mode, turn.rate) for turn in rounds) == cells
    assert len({turn.name for turn in turns}) == len(turns)


def test_the_seed_draws_the_order_and_every_round_has_another() -> None:
    first, second = (plan({"SEED": seed}).turns() for seed in ("1", "2"))
    assert first == plan({"SEED": "1"}).turns()
    orders = [tuple(turn.mode for turn in first if turn.number == number) for number in (1, 2, 3)]
    assert len({*orders, tuple(turn.mode for turn in second if turn.number == 1), tuple(MODES)}) == 5


def test_a_preset_changes_the_defaults_and_a_given_setting_counts_more() -> None:
    quick, full = plan({"QUICK": "1", "DURATION": "9"}), plan({"FULL": "1"})
    assert (quick.runs, quick.duration, quick.warmup, quick.rates) == (3, 9, 3, (5.0,))
    assert (full.runs, len(full.rates)) == (5, 3)


def test_the_presets_fit_into_their_time_if_a_run_takes_what_the_estimate_says() -> None:
    def minutes(preset: str) -> float:
        one = plan({preset: "1"})
        return one.estimate(one.turns()) / 60

    assert minutes("QUICK") < 15
    assert minutes("FULL") < 150


def test_a_visit_has_all_parts_of_a_mode_in_a_row_those_that_disturb_most_last() -> None:
    chosen = plan({"FULL": "1", "MODES": "kafka,temporal", "PEERS": "none"})
    first = [turn for turn in chosen.turns() if turn.number == 1]
    for mode in chosen.modes:
        visit = [turn for turn in first if turn.mode == mode]
        at = first.index(visit[0])
        assert first[at : at + len(visit)] == visit
        assert list(dict.fromkeys(turn.part for turn in visit)) == list(PARTS)
        assert sorted(turn.rate for turn in visit if turn.part == "steady") == [2.0, 5.0, 8.0]
    assert {turn.rate for turn in first if turn.part != "steady"} == {5.0}
    assert {turn.part for turn in chosen.turns() if turn.number == 5} == {"steady"}


def test_costly_parts_are_measured_in_one_mode_of_each_transport() -> None:
    chosen = plan({"PARTS": "failing-10, backlog", "RUNS": "1"})
    assert {turn.mode for turn in chosen.turns()} == {
        "temporal-orchestration",
        "kafka-choreography",
        "sns-sqs-choreography",
        "pubsub-choreography",
    }


def test_every_round_has_every_peer_at_the_middle_rate_among_the_modes() -> None:
    chosen = plan({"FULL": "1", "PEERS": "celery,alone"})
    assert chosen.peers == ("alone", "celery")
    turns = [turn for turn in chosen.turns() if turn.part == "peer"]
    assert [turn.number for turn in turns if turn.mode == "celery"] == [1, 2, 3, 4, 5]
    assert {turn.rate for turn in turns} == {5.0}


def test_the_command_names_what_was_set() -> None:
    environ = {"QUICK": "1", "MODES": "kafka", "RATE": "5,20", "RUNS": "", "HOME": "/"}
    assert command(environ) == "make bench QUICK=1 MODES=kafka RATE=5,20"
    assert command(environ, ["HOME", "BASELINE"]) == "make bench QUICK=1 MODES=kafka RATE=5,20 HOME=/"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"QUICK": "1", "FULL": "1"}, "give one of them"),
        ({"QUICK": "yes"}, "QUICK=yes is not valid"),
        ({"FULL": "1", "RUNS": "4"}, "RUNS=4 is not valid with FULL=1: expected 5 or more"),
        ({"RATE": "5,,8"}, "RATE= is not valid"),
    ],
)
def test_what_does_not_go_together_is_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan(environ)


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
        ("SETTLE", "-1", "0 or more"),
        ("STEAL_MAX", "x", "number"),
        ("FOREIGN_MAX", "-1", "0 or more"),
        ("SEED", "x", "whole number"),
        ("PROVIDERS", "paypal", "sandbox, instant"),
        ("PARTS", "steady,warp", "cold-start"),
        ("PEERS", "camel", "faststream"),
        ("STEP", "0", "1 or more"),
        ("OBJECTIVE", "fast", "number"),
        ("BACKLOG", "0", "1 or more"),
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

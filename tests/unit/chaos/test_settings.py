"""The settings of `make chaos`: valid values, and the message for a wrong one."""

from pathlib import Path

import pytest

from loadtests.bench.publish import data
from loadtests.bench.storage import read as bench
from loadtests.bench.summary import summarize
from sagakit.modes import MODES
from tests.chaos.faults import MODULES
from tests.chaos.settings import DRAINABLE, USUAL, experiments, read


def test_without_settings_the_usual_faults_break_the_default_mode() -> None:
    settings = read({})
    assert settings.faults == tuple(USUAL.split(","))
    assert settings.modes == ("temporal-orchestration",)
    assert (settings.duration, settings.rate_in("temporal-orchestration"), settings.seed, settings.running) == (
        60.0,
        5.0,
        1,
        None,
    )


def test_all_names_every_fault_and_every_mode() -> None:
    settings = read({"FAULTS": "all", "MODES": "all"})
    assert settings.faults == tuple(MODULES)
    assert settings.modes == tuple(MODES)


def test_modes_are_names_or_aliases_and_default_to_the_coordination_mode() -> None:
    assert read({"MODES": "kafka, pubsub-orchestration,kafka"}).modes == ("kafka-choreography", "pubsub-orchestration")
    assert read({"COORDINATION_MODE": "sns-sqs"}).modes == ("sns-sqs-choreography",)


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("FAULTS", "kil", "all, kill, pause"),
        ("FAULTS", ",", "all, kill, pause"),
        ("MODES", "kafak", "kafka-choreography"),
        ("DURATION", "0", "greater than 0"),
        ("DURATION", "nan", "greater than 0"),
        ("RATE", "fast", "greater than 0"),
        ("SEED", "-1", "from 0 to"),
        ("REPLICAS", "9", "from 1 to 4"),
        ("PORT_OFFSET", "x", "from 0 to"),
        ("EXPERIMENT", "nowhere.yaml", "ours are: "),
        ("PLANT", "nonsense", "valid are: "),
        ("STACK_DIR", "nowhere", "make up"),
        ("STACK", "moon", "valid are: native, docker"),
    ],
)
def test_a_bad_value_ends_with_one_line_that_names_it_and_what_is_valid(name: str, value: str, valid: str) -> None:
    with pytest.raises(ValueError, match=name) as wrong:
        read({name: value})
    assert valid in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_an_experiment_names_its_own_faults() -> None:
    name = experiments()[0]
    assert read({"EXPERIMENT": name}).experiment == Path(f"tests/chaos/experiments/{name}.yaml").resolve()
    assert f"EXPERIMENT={name} " in read({"EXPERIMENT": name}).command("kafka-choreography")
    with pytest.raises(ValueError, match="exclude each other"):
        read({"EXPERIMENT": name, "FAULTS": "kill"})


def test_a_running_stack_is_taken_in_its_own_mode_unless_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stack.json").write_text("{}")
    place = {"STACK_DIR": str(tmp_path), "COORDINATION_MODE": "kafka"}
    assert read(place).running == tmp_path
    assert read(place).modes == ()
    assert read({**place, "MODES": "pubsub"}).modes == ("pubsub-choreography",)


def test_the_command_repeats_a_run_of_one_mode() -> None:
    given = {"FAULTS": "kill,pause", "MODES": "all", "DURATION": "40", "RATE": "2.5", "SEED": "7", "REPLICAS": "2"}
    command = read(given).command("kafka-choreography")
    assert command == "make chaos FAULTS=kill,pause MODES=kafka-choreography DURATION=40 RATE=2.5 SEED=7 REPLICAS=2"
    again = dict(word.split("=", 1) for word in command.split()[2:])
    assert read(again) == read({**given, "MODES": "kafka"})


def test_a_stack_of_its_own_is_native_unless_containers_are_asked_for() -> None:
    assert read({}).environment["STACK"] == read({"STACK": "auto"}).environment["STACK"] == "native"
    inside = read({"STACK": "docker", "REPLICAS": "2"})
    assert inside.environment["STACK"] == "docker"
    assert inside.environment["REPLICAS"] == "2"
    assert float(inside.environment["READY_TIMEOUT"]) > 90
    assert inside.command("kafka-choreography").endswith(" STACK=docker")
    with pytest.raises(ValueError, match="PLANT and STACK=docker exclude each other"):
        read({"STACK": "docker", "PLANT": "no-inbox"})


def test_the_command_that_repeats_a_run_with_all_faults_is_short() -> None:
    assert "FAULTS=all MODES=pubsub-choreography" in read({"FAULTS": "all"}).command("pubsub-choreography")


def test_the_rate_of_a_mode_leaves_room_to_drain_what_an_outage_has_left() -> None:
    """By the capacity that docs/scaling.md shows, for its machine, which has two cores."""
    for one in summarize(bench(data("bench"))):
        carried = 2 * 1000 / one.cpu.median
        rate = read({}).rate_in(one.label)
        assert rate <= DRAINABLE * carried, f"{one.label} carries {carried:.1f} orders/s"


def test_a_rate_above_what_a_mode_can_drain_is_used_and_said() -> None:
    settings = read({"RATE": "5"})
    assert settings.rate_in("temporal-choreography") == 5.0
    assert "more than temporal-choreography can drain" in settings.too_fast("temporal-choreography", 5.0)
    assert not settings.too_fast("temporal-choreography", 2.5)
    assert not settings.too_fast("kafka-choreography", 5.0)

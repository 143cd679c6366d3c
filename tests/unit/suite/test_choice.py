"""FAST, MODE and NIGHTLY say which tests are run."""

import os
import subprocess
import sys

import pytest

from sagakit.modes import ALIASES, MODES
from tests.suite.choice import ALL, Choice, Needs, choice_of

NOTHING = Needs()
DATABASE = Needs(servers=True)
KAFKA = Needs(servers=True, modes=frozenset({"kafka-choreography", "kafka-orchestration"}))


def test_without_a_choice_everything_is_run_but_what_is_long() -> None:
    choice = choice_of({})
    assert choice == Choice(fast=False, modes=ALL, nightly=False)
    assert [choice.leaves_out(needs) for needs in (NOTHING, DATABASE, KAFKA)] == [None] * 3
    assert "NIGHTLY=1" in str(choice.leaves_out(Needs(nightly=True)))
    assert choice.leaves_out(Needs(thorough=True)) is None
    assert "FAST=1" in str(choice_of({"FAST": "1"}).leaves_out(Needs(thorough=True)))


def test_nightly_adds_what_is_long_and_takes_nothing_away() -> None:
    choice = choice_of({"NIGHTLY": "1"})
    needs = (NOTHING, DATABASE, KAFKA, Needs(nightly=True), Needs(servers=True, nightly=True))
    assert [choice.leaves_out(one) for one in needs] == [None] * 5
    assert (choice.count(3, 30), Choice().count(3, 30)) == (30, 3)


def test_fast_leaves_out_what_needs_a_server_and_that_alone() -> None:
    choice = choice_of({"FAST": "1"})
    assert choice.leaves_out(NOTHING) is None
    assert "FAST=1" in str(choice.leaves_out(DATABASE))
    assert "FAST=1" in str(choice.leaves_out(KAFKA))
    assert not choice.allows_servers()


def test_a_mode_leaves_out_other_modes_and_servers_of_no_mode() -> None:
    choice = choice_of({"MODE": "kafka"})
    assert choice.modes == ("kafka-choreography",)
    assert choice.leaves_out(NOTHING) is None
    assert choice.leaves_out(KAFKA) is None
    assert "MODE" in str(choice.leaves_out(DATABASE))
    assert "MODE" in str(choice.leaves_out(Needs(servers=True, modes=frozenset({"pubsub-choreography"}))))


def test_choices_combine() -> None:
    choice = choice_of({"FAST": "on", "NIGHTLY": "yes", "MODE": "pubsub"})
    assert choice.leaves_out(Needs(nightly=True)) is None
    assert choice.leaves_out(Needs(servers=True, modes=frozenset({"pubsub-choreography"}))) is not None
    both = choice_of({"MODE": " pubsub , kafka-orchestration"})
    assert both.modes == ("kafka-orchestration", "pubsub-choreography")[:: 1 if _before() else -1]


def _before() -> bool:
    return ALL.index("kafka-orchestration") < ALL.index("pubsub-choreography")


@pytest.mark.parametrize("name", [*MODES, *ALIASES])
def test_every_mode_and_alias_is_a_choice(name: str) -> None:
    assert choice_of({"MODE": name}).modes == (ALIASES.get(name, name),)


@pytest.mark.parametrize("off", ["", "0", "off", "no", "False"])
def test_what_is_off_is_off(off: str) -> None:
    assert choice_of({"FAST": off, "NIGHTLY": off, "MODE": ""}) == Choice()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"MODE": "rabbit"}, "kafka-choreography"), ({"FAST": "maybe"}, "FAST"), ({"NIGHTLY": "2"}, "NIGHTLY")],
)
def test_an_unknown_value_ends_with_one_line_and_status_2(wrong: dict[str, str], named: str) -> None:
    command = [sys.executable, "-m", "tests.suite.choice"]
    plain = {name: value for name, value in os.environ.items() if name not in ("MODE", "FAST", "NIGHTLY")}
    done = subprocess.run(command, env={**plain, **wrong}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).splitlines()
    assert named in line
    assert next(iter(wrong.values())) in line
    assert subprocess.run(command, env=plain, check=False).returncode == 0

"""Experiments as data: valid ones are read, invalid ones are refused with a reason."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chaos.checks import CHECKS
from tests.chaos.experiment import Action, BadExperiment, load, of_faults, parse
from tests.chaos.faults import MODULES
from tests.chaos.settings import FOLDER, experiments

TEXT = """
title: Payment dies
description: And is back soon.
tags: [mine]
configuration: {rate: 3, duration: 40, mix: good}
steady-state-hypothesis:
  title: the audit is clean
  probes:
    - type: probe
      name: the audit is clean
      tolerance: true
      provider: {type: python, module: chaosquartet.probes, func: audit}
method:
  - type: action
    name: kill payment
    provider:
      type: python
      module: chaosquartet.actions
      func: kill
      arguments: {target: payment, seconds: 2}
    pauses: {before: 1, after: 4}
  - type: action
    name: restart any database
    background: true
    provider: {type: python, module: chaosquartet.actions, func: db_restart, arguments: {target: any}}
rollbacks: []
"""


def changed(path: str, value: Any) -> Any:
    """The document with another value at a path such as `method.0.provider.func`; `...` removes it."""
    document = deepcopy(yaml.safe_load(TEXT))
    *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    at: Any = document
    for step in way:
        at = at[step]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return document


def test_all_faults_have_a_short_title() -> None:
    assert of_faults(tuple(MODULES)).title == "every fault under load"


def test_an_experiment_is_read_with_all_that_it_says() -> None:
    experiment = parse(yaml.safe_load(TEXT), "mine.yaml")
    assert (experiment.title, experiment.description) == ("Payment dies", "And is back soon.")
    assert experiment.checks == ("audit",)
    assert experiment.configuration == {"rate": 3, "duration": 40, "mix": "good"}
    assert experiment.method == (
        Action("kill payment", "kill", "payment", 2, before=1, after=4),
        Action("restart any database", "db-restart", None, None, background=True),
    )
    assert experiment.faults == ("kill", "db-restart")
    assert experiment.rollbacks == ()
    assert not experiment.drawn


@pytest.mark.parametrize("name", experiments())
def test_ours_can_be_read(name: str) -> None:
    experiment = load(FOLDER / "experiments" / f"{name}.yaml")
    assert {"audit", "felt"} <= set(experiment.checks)
    assert set(experiment.faults) <= set(MODULES)


def test_every_fault_is_in_one_of_ours() -> None:
    named = {fault for name in experiments() for fault in load(FOLDER / "experiments" / f"{name}.yaml").faults}
    assert named == set(MODULES)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("title", ..., "title is missing"),
        ("title", 7, "title must be a text"),
        ("methods", [], "methods is unknown; valid are: title, "),
        ("steady-state-hypothesis", ..., "steady-state-hypothesis is missing"),
        ("steady-state-hypothesis.probes", [], "steady-state-hypothesis.probes names no check; valid are: audit, "),
        ("steady-state-hypothesis.probes.0.provider.func", "audti", "probes[0].provider.func is 'audti'; valid are"),
        ("steady-state-hypothesis.probes.0.tolerance", 5, "probes[0].tolerance must be true"),
        ("method", [], "method holds no action"),
        ("method", {"type": "action"}, "method is no list"),
        ("method.0", "kill", "method[0] is no object"),
        ("method.1.provider.func", "kil", "method[1].provider.func is 'kil'; valid are: kill, pause, "),
        ("method.0.provider.module", "os", "method[0].provider.module is 'os'; valid are: chaosquartet.actions"),
        ("method.0.provider.arguments", {"victim": "order"}, "arguments.victim is unknown; valid are: target, seconds"),
        ("method.0.provider.arguments.seconds", "long", "seconds is 'long', and must be a number from 0 to 3600"),
        ("method.0.pauses.after", -1, "method[0].pauses.after is -1"),
        ("method.0.background", "yes", "method[0].background must be true or false"),
        ("configuration.rate", 0, "configuration.rate must be greater than 0"),
        ("configuration.speed", 1, "configuration.speed is unknown"),
        ("configuration.mix", "bad", "configuration.mix MIX='bad' names no kind"),
    ],
)
def test_one_line_says_which_file_and_which_field_is_wrong(path: str, value: Any, said: str) -> None:
    with pytest.raises(BadExperiment) as wrong:
        parse(changed(path, value), "mine.yaml")
    assert str(wrong.value).startswith("mine.yaml: ")
    assert said in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("text", ["title: [unclosed", "- a list", ""])
def test_a_file_that_is_no_experiment_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(BadExperiment, match=r"broken\.yaml: ") as wrong:
        load(path)
    assert "\n" not in str(wrong.value)


def test_the_faults_of_a_command_make_an_experiment_that_can_be_read_again() -> None:
    experiment = of_faults(("kill", "db-restart"))
    assert experiment.drawn
    assert experiment.checks == tuple(CHECKS)
    again = parse(experiment.document, "made")
    assert (again.faults, again.checks) == (experiment.faults, experiment.checks)

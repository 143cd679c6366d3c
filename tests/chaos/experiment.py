"""Experiments: what is broken and what must hold, as data, in the words of Chaos Toolkit (https://chaostoolkit.org).

A file has `title`, `description`, `steady-state-hypothesis` (probes: the checks that must be true), `method` (actions:
the faults) and `rollbacks` (actions after them). `configuration` sets the load. docs/reliability.md shows one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from loadtests.shoppers import mix
from tests.chaos.checks import CHECKS
from tests.chaos.faults import MODULES

ACTIONS: Final = "chaosquartet.actions"
PROBES: Final = "chaosquartet.probes"
ANY: Final = "any"
NUMBERS: Final = ("rate", "duration", "replicas")
FIELDS: Final = (
    "title",
    "description",
    "tags",
    "contributions",
    "configuration",
    "steady-state-hypothesis",
    "method",
    "rollbacks",
)


class BadExperiment(ValueError):
    """The experiment is invalid; the message is one line that names the file, the field, and what is valid."""


@dataclass(frozen=True, slots=True)
class Action:
    """One fault of a method. `target` None: drawn by seed; `seconds` None: the usual duration of such a fault.

    `before` and `after` are pauses in seconds. The next action does not wait for one in the `background`.
    """

    name: str
    fault: str
    target: str | None = None
    seconds: float | None = None
    before: float = 0.0
    after: float = 0.0
    background: bool = False


@dataclass(frozen=True, slots=True)
class Experiment:
    """`checks` are the names of those that must be true; `document` is the file as it was read, for the journal.

    `drawn`: the times and targets of the method are drawn by seed, and it repeats as long as the load lasts.
    """

    title: str
    description: str
    checks: tuple[str, ...]
    method: tuple[Action, ...]
    rollbacks: tuple[Action, ...] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    drawn: bool = False

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults that its method names, each once."""
        return tuple(dict.fromkeys(action.fault for action in self.method))


def load(path: Path) -> Experiment:
    """Read a file; raises BadExperiment."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadExperiment(f"{path}: {' '.join(str(error).split())}") from None
    return parse(document, str(path))


def parse(document: Any, source: str) -> Experiment:
    """An experiment from the values of a YAML document; `source` is named in errors. Raises BadExperiment."""
    top = Node(source, "", document)
    top.only(FIELDS)
    hypothesis = top.child("steady-state-hypothesis")
    hypothesis.only(("title", "probes"))
    probes, method = hypothesis.items("probes"), top.items("method")
    if not probes:
        raise hypothesis.wrong("probes", f"names no check; valid are: {', '.join(CHECKS)}")
    if not method:
        raise top.wrong("method", "holds no action: nothing would be broken")
    return Experiment(
        top.text("title"),
        top.text("description"),
        tuple(dict.fromkeys(_probe(node) for node in probes)),
        tuple(_action(node) for node in method),
        tuple(_action(node) for node in top.items("rollbacks", needed=False)),
        _configuration(top.child("configuration", needed=False)),
        document,
    )


def of_faults(faults: Sequence[str]) -> Experiment:
    """The experiment of `FAULTS=`: all checks, and a method that is drawn by seed."""
    actions = tuple(Action(fault, fault) for fault in faults)
    title = f"{'every fault' if set(faults) == set(MODULES) else ', '.join(faults)} under load"
    probes = [_document("probe", name, PROBES, name) | {"tolerance": True} for name in CHECKS]
    description = "Faults at times and on parts that are drawn by seed."
    document = {
        "title": title,
        "description": description,
        "steady-state-hypothesis": {"title": "every check is true", "probes": probes},
        "method": [_document("action", fault, ACTIONS, fault) for fault in faults],
        "rollbacks": [],
    }
    return Experiment(title, description, tuple(CHECKS), actions, document=document, drawn=True)


def _document(kind: str, name: str, module: str, func: str) -> dict[str, Any]:
    provider = {"type": "python", "module": module, "func": func.replace("-", "_")}
    return {"type": kind, "name": name, "provider": provider}


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the document, and where it stands."""

    source: str
    place: str
    value: Any

    def wrong(self, name: str, what: str) -> BadExperiment:
        return BadExperiment(f"{self.source}: {self._at(name)} {what}")

    def only(self, names: Sequence[str]) -> None:
        """Raises BadExperiment unless this is an object with no other members."""
        if not isinstance(self.value, dict):
            raise BadExperiment(f"{self.source}: {self.place or 'the document'} is no object")
        for name in self.value:
            if name not in names:
                raise self.wrong(str(name), f"is unknown; valid are: {', '.join(names)}")

    def child(self, name: str, needed: bool = True) -> Node:
        if needed and name not in self.value:
            raise self.wrong(name, "is missing")
        return Node(self.source, self._at(name), self.value.get(name) or {})

    def items(self, name: str, needed: bool = True) -> list[Node]:
        if needed and name not in self.value:
            raise self.wrong(name, "is missing")
        items = self.value.get(name) or []
        if not isinstance(items, list):
            raise self.wrong(name, "is no list")
        return [Node(self.source, f"{self._at(name)}[{number}]", one) for number, one in enumerate(items)]

    def text(self, name: str) -> str:
        text = self.value.get(name)
        if not isinstance(text, str) or not text.strip():
            raise self.wrong(name, "must be a text" if name in self.value else "is missing")
        return text.strip()

    def number(self, name: str) -> float | None:
        """None where it is not given."""
        number = self.value.get(name)
        if number is None:
            return None
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 3600:
            raise self.wrong(name, f"is {number!r}, and must be a number from 0 to 3600")
        return float(number)

    def choice(self, name: str, valid: Sequence[str]) -> str:
        choice = self.text(name)
        if choice not in valid:
            raise self.wrong(name, f"is {choice!r}; valid are: {', '.join(valid)}")
        return choice

    def _at(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name


def _provider(node: Node, kind: str, module: str, funcs: Sequence[str]) -> tuple[str, Node]:
    """The name of what a provider calls, with the dashes of FAULTS=, and its arguments."""
    node.choice("type", (kind,))
    provider = node.child("provider")
    provider.only(("type", "module", "func", "arguments"))
    provider.choice("type", ("python",))
    provider.choice("module", (module,))
    func = provider.choice("func", [one.replace("-", "_") for one in funcs])
    return func.replace("_", "-"), provider.child("arguments", needed=False)


def _probe(node: Node) -> str:
    node.only(("type", "name", "tolerance", "provider"))
    node.text("name")
    name, arguments = _provider(node, "probe", PROBES, tuple(CHECKS))
    arguments.only(())
    if node.value.get("tolerance") is not True:
        raise node.wrong("tolerance", "must be true: a check holds or does not")
    return name


def _action(node: Node) -> Action:
    node.only(("type", "name", "provider", "pauses", "background"))
    fault, arguments = _provider(node, "action", ACTIONS, tuple(MODULES))
    arguments.only(("target", "seconds"))
    pauses = node.child("pauses", needed=False)
    pauses.only(("before", "after"))
    background = node.value.get("background", False)
    if not isinstance(background, bool):
        raise node.wrong("background", "must be true or false")
    target = arguments.text("target") if "target" in arguments.value else ANY
    return Action(
        node.text("name"),
        fault,
        None if target == ANY else target,
        arguments.number("seconds"),
        pauses.number("before") or 0.0,
        pauses.number("after") or 0.0,
        background,
    )


def _configuration(node: Node) -> Mapping[str, Any]:
    node.only((*NUMBERS, "mix"))
    configuration: dict[str, Any] = {name: node.number(name) for name in NUMBERS if name in node.value}
    for name, value in configuration.items():
        if not value:
            raise node.wrong(name, "must be greater than 0")
    if "mix" in node.value:
        try:
            mix(node.text("mix"))
        except ValueError as error:
            raise node.wrong("mix", str(error)) from None
        configuration["mix"] = node.text("mix")
    return configuration

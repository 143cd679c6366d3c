"""The actions of the Chaos Toolkit extension, called as Chaos Toolkit calls them."""

import inspect
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from quartet_stack.layout import REPOSITORY
from tests.chaos import faults
from tests.chaos.model import Injection, NotAvailable
from tests.chaos.stack import SERVICES, StackUnderTest
from tests.chaos.toolkit.chaosquartet import actions, probes, running


@dataclass
class Fault:
    """Notes what it was asked for. `felt` is what it says of it."""

    name: str = "kill"
    kind: str = "process"
    felt: bool | None = True
    asked: list[tuple[str, float, float]] = field(default_factory=list)

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return SERVICES

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        self.asked.append((target, seconds, dice.random()))
        now = time.time()
        return Injection(self.name, target, now, now + seconds, self.felt, "pid 1 -> 2")


class Stack(StackUnderTest):
    """Answers from memory. `fires` tells after how many looks a failpoint has fired; `dies` whether it kills."""

    def __init__(self, fires: int = 1, dies: bool = False) -> None:
        super().__init__("kafka-choreography", Path("nowhere"), {})
        self.fires, self.dies, self.looks = fires, dies, 0
        self.set: dict[str, list[Any]] = {}

    async def processes(self) -> dict[str, int]:
        return {"payment": 2 if self.dies and self.looks >= self.fires else 1}

    async def call(
        self, method: str, path: str, service: str = "order", body: Any = None, seconds: float = 10.0
    ) -> Mapping[str, Any]:
        assert path == "/faults"
        if method == "PUT":
            self.set.setdefault(service, []).append(body["set"])
            return {}
        self.looks += 1
        if self.dies and self.looks >= self.fires:
            raise TimeoutError  # as of a service that is dead
        return {"fired": {"before-commit": 4} if not self.dies and self.looks > self.fires else {"before-commit": 3}}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack()
    monkeypatch.setattr(running, "stack", lambda: made)
    monkeypatch.setattr(actions, "LOOK_EVERY", 0.001)
    return made


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch, stack: Stack) -> Fault:
    made = Fault()
    monkeypatch.setattr(faults, "load", lambda name: made)
    return made


def act(name: str, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = getattr(actions, name)(**arguments)
    return found


def test_there_is_a_function_for_each_fault_with_the_arguments_that_experiments_give() -> None:
    """Chaos Toolkit looks for functions among the members of the module, and binds arguments to their parameters."""
    functions = dict(inspect.getmembers(actions, inspect.isfunction))
    assert {name.replace("-", "_") for name in faults.MODULES} <= functions.keys()
    assert set(actions.__all__) <= functions.keys()
    for name in faults.MODULES:
        inspect.signature(functions[name.replace("-", "_")]).bind(target="any", seconds=8)
        assert name in str(functions[name.replace("-", "_")].__doc__)


def _providers(value: Any) -> Iterator[dict[str, Any]]:
    """All that a document names as Python functions, however deep."""
    if isinstance(value, dict):
        if value.get("type") == "python":
            yield value
        for one in value.values():
            yield from _providers(one)
    elif isinstance(value, list):
        for one in value:
            yield from _providers(one)


def _documents() -> list[Any]:
    page = (REPOSITORY / "docs" / "reliability.md").read_text()
    shown = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    ours = [path.read_text() for path in sorted((REPOSITORY / "tests/chaos/experiments").glob("*.yaml"))]
    return [yaml.safe_load(text) for text in (*shown, *ours)]


@pytest.mark.parametrize("document", _documents(), ids=lambda document: str(document["title"]))
def test_what_experiments_call_is_there_with_those_arguments(document: Any) -> None:
    providers = list(_providers(document))
    assert providers
    for one in providers:
        module = {"chaosquartet.actions": actions, "chaosquartet.probes": probes}[one["module"]]
        functions = dict(inspect.getmembers(module, inspect.isfunction))
        inspect.signature(functions[one["func"]]).bind(**one.get("arguments", {}))


def test_a_fault_is_injected_and_what_was_felt_is_returned(fault: Fault) -> None:
    found = act("kill", target="payment", seconds=2)
    assert [(target, seconds) for target, seconds, _ in fault.asked] == [("payment", 2)]
    assert (found["fault"], found["target"], found["felt"], found["detail"]) == ("kill", "payment", True, "pid 1 -> 2")


def test_any_target_is_drawn_by_seed(fault: Fault) -> None:
    for _ in range(2):
        act("pause", seed=3)
    assert fault.asked[0] == fault.asked[1]
    for seed in range(30):
        act("pause", seed=seed)
    assert {target for target, *_ in fault.asked} == set(SERVICES)


def test_a_target_that_there_is_not_is_refused(fault: Fault) -> None:
    with pytest.raises(ValueError, match="'mars' is not one of order, payment, inventory, shipping, any"):
        act("kill", target="mars")
    assert fault.asked == []


def test_what_nobody_felt_is_no_success_and_what_cannot_be_known_is(fault: Fault) -> None:
    fault.felt = False
    with pytest.raises(actions.NotFelt, match="kill of order was not felt"):
        act("kill", target="order")
    fault.felt = None
    assert act("kill", target="order")["felt"] is None


def test_a_fault_that_cannot_be_had_says_what_is_missing(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    def targets(stack: StackUnderTest) -> Sequence[str]:
        raise NotAvailable("TOXICS=on is needed")

    monkeypatch.setattr(fault, "targets", targets)
    with pytest.raises(NotAvailable, match="TOXICS=on"):
        act("kill")


def test_a_toxic_is_a_fault_of_the_network(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "MODULES", {"kill": "processes", "latency": "network", "cut": "network"})
    assert act("toxic", kind="latency", route="order", seconds=1)["target"] == "order"
    with pytest.raises(ValueError, match="'kill' is not one of latency, cut"):
        act("toxic", kind="kill")


@pytest.mark.parametrize("dies", [False, True])
def test_a_failpoint_is_set_until_it_has_fired_and_taken_back(stack: Stack, dies: bool) -> None:
    stack.dies, stack.fires = dies, 3
    found = act("failpoint", service="payment", point="before-commit", action="stall", hit=2, stalls=0.5)
    wanted = {"point": "before-commit", "action": "stall", "hit": 2, "seconds": 0.5}
    assert stack.set == {"payment": [[wanted], []]}
    assert (found["felt"], found["detail"]) == (True, "stall at before-commit")
    assert found["ended"] >= found["began"]


def test_a_failpoint_that_nothing_passes_is_taken_back_and_not_felt(stack: Stack) -> None:
    stack.fires = 10**9
    with pytest.raises(actions.NotFelt, match="failpoint of payment"):
        act("failpoint", service="payment", point="before-commit", seconds=0.02)
    assert stack.set["payment"][-1] == []


def test_clearing_takes_all_failpoints_back(stack: Stack) -> None:
    assert act("clear") == {"services": list(SERVICES)}
    assert stack.set == {service: [[]] for service in SERVICES}

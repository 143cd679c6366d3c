"""The comparison of diagrams with journals finds every kind of difference: it is what the end-to-end test relies on."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from console_service.examples import EXAMPLES, example
from console_service.exports import as_json
from console_service.sagas import of_example
from tests.console.compared import wrong


def compared(name: str, change: Callable[[Any], Any] = lambda saga: None) -> list[str]:
    saga = json.loads(as_json(of_example(example(name)).diagram))
    change(saga)
    return wrong(saga, example(name)["timelines"], choreography="choreography" in name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_recorded_diagrams_are_what_their_journals_say(name: str) -> None:
    assert compared(name) == []


def _set(part: str, number: int, field: str, value: Any) -> Callable[[Any], Any]:
    return lambda saga: saga[part][number].__setitem__(field, value)


def _arrow(field: str, value: Any) -> Callable[[Any], Any]:
    """Change the first arrow that has both ends in the journals."""

    def change(saga: Any) -> None:
        next(it for it in saga["arrows"] if it["sent"] and it["received"])[field] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda saga: saga["steps"].pop(),
        lambda saga: saga["steps"].append({**saga["steps"][-1], "message": "Invented"}),
        lambda saga: saga["steps"].append(saga["steps"][-1]),
        lambda saga: saga["arrows"].pop(),
        lambda saga: saga["arrows"].append({**saga["arrows"][-1], "to": "inventory", "received": None}),
        *(_set("steps", 4, field, value) for field, value in (("service", "nowhere"), ("cause", "Nothing"))),
        _set("steps", 4, "at", "2026-01-01T00:00:00Z"),
        *(_arrow(name, "nothing") for name in ("kind", "message", "from", "to", "cause", "sent", "received")),
        *(_arrow(name, "2026-01-01T00:00:00Z") for name in ("sent_at", "received_at")),
    ],
)
@pytest.mark.parametrize("name", ["kafka-choreography.declined", "temporal-orchestration.completed"])
def test_a_diagram_with_any_difference_is_found(name: str, change: Callable[[Any], Any]) -> None:
    assert compared(name, change)

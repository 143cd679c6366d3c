"""Given these events, expect that event: the rules of a service, tested without a database."""

from typing import Any

import pytest

from checkout import messages as m
from sagakit.message import Command, Event
from sagakit.service import Service

ADDRESS = m.Address("A. Customer", "1 Main St", "Riga", "LV-1010", "LV")
CHECKOUT = m.Checkout(
    "alice",
    (m.Line("cup", 2, m.Money(1200, "EUR")), m.Line("beans", 1, m.Money(900, "EUR"))),
    m.Money(3300, "EUR"),
    "tok_visa",
    ADDRESS,
)
ORDER = "o1"


def given(service: Service, state: Any, *events: Event) -> Any:
    """The state after `events`."""
    for event in events:
        state = service.evolve(state, event)
    return state


def expect(service: Service, state: Any, command: Command, event: Event) -> Any:
    """Check that `command` is decided with `event`; return the state after it."""
    assert service.commands[type(command)].decide(command, state) == event
    return service.evolve(state, event)


def expect_bug(service: Service, state: Any, command: Command, match: str) -> None:
    """`command` makes no sense in `state`: only a defect elsewhere can have sent it."""
    with pytest.raises(ValueError, match=match):
        service.commands[type(command)].decide(command, state)

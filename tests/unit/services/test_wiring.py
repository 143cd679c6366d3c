"""The tables of the four services against the vocabulary, the topology and each other."""

import pytest

from checkout import messages as m
from checkout.topology import SUBSCRIPTIONS, choreography, orchestration
from inventory_service.service import SERVICE as INVENTORY
from order_service.service import SERVICE as ORDER
from payment_service.service import SERVICE as PAYMENT
from sagakit.message import Command
from sagakit.service import Service
from shipping_service.service import SERVICE as SHIPPING
from tests.contracts.samples import SAMPLES

SERVICES = (ORDER, INVENTORY, PAYMENT, SHIPPING)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service.name))
def test_a_service_subscribes_to_exactly_what_it_reacts_to(service: Service) -> None:
    assert set(service.reactions) == set(SUBSCRIPTIONS[service.name])


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service.name))
def test_a_service_reacts_to_foreign_events_with_commands_of_its_own(service: Service) -> None:
    for kind, react in service.reactions.items():
        command = react(SAMPLES[kind.__name__])
        assert m.OWNER[kind] != service.name
        assert m.OWNER[type(command)] == service.name
        assert command.subject == SAMPLES[kind.__name__].subject


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service.name))
def test_a_service_handles_every_public_command_that_it_owns(service: Service) -> None:
    public = {kind for kind in service.commands if kind in m.OWNER}
    assert public == set(m.COMMANDS_OF[service.name])


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service.name))
def test_every_answer_is_an_event_that_the_journal_can_read(service: Service) -> None:
    for handler in service.commands.values():
        assert handler.answers
        assert {kind.__name__ for kind in handler.answers} <= set(service.vocabulary.types)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service.name))
def test_private_events_are_journaled_and_never_on_the_wire(service: Service) -> None:
    names = {kind.__name__ for kind in service.private}
    assert names <= set(service.vocabulary.types)
    assert not names & set(m.PUBLIC.types)


def test_every_message_has_one_owner() -> None:
    kinds = [kind for table in (m.COMMANDS_OF, m.EVENTS_OF) for kinds in table.values() for kind in kinds]
    assert len(kinds) == len(set(kinds)) == len(m.OWNER)


def test_in_choreography_no_command_is_on_the_wire() -> None:
    on_the_wire = {name for one in choreography().subscriptions for name in one.types}
    assert not {name for name in on_the_wire if issubclass(m.PUBLIC.types[name], Command)}


def test_in_orchestration_participants_receive_commands_and_only_the_owner_receives_events() -> None:
    for one in orchestration().subscriptions:
        commands = {name for name in one.types if issubclass(m.PUBLIC.types[name], Command)}
        assert commands == (set() if one.consumer == "order" else one.types)

"""The roles of services over Temporal, without a server."""

from importlib import import_module

from checkout.saga import CHECKOUT
from checkout.topology import topology_of
from sagakit.modes.temporal.choreography import ChoreographyRole
from sagakit.modes.temporal.orchestration import OrchestratorRole
from sagakit.modes.temporal.wire import ParticipantRole
from sagakit.service import Service
from sagakit.settings import Settings
from tests.keys import PUBLIC_KEY

SETTINGS = Settings(token_public_keys=PUBLIC_KEY, saga_deadline=30.0)


def service(name: str) -> Service:
    service_: Service = import_module(f"{name}_service.service").SERVICE
    return service_


def choreography_role(name: str) -> ChoreographyRole:
    return ChoreographyRole(SETTINGS, service(name), CHECKOUT, topology_of("choreography"))


def orchestrator_role() -> OrchestratorRole:
    return OrchestratorRole(SETTINGS, service("order"), CHECKOUT)


def participant_role() -> ParticipantRole:
    return ParticipantRole()

"""The system under simulation as a value, so that a mutant is a value too."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from checkout.saga import CHECKOUT
from inventory_service.service import SERVICE as INVENTORY
from order_service.service import SERVICE as ORDER
from payment_service.service import SERVICE as PAYMENT
from sagakit.message import Command
from sagakit.modes.styles import Style, style_of
from sagakit.saga import Saga
from sagakit.service import Handler, Service
from shipping_service.service import SERVICE as SHIPPING
from tests.simulation.carrier import STYLES as STYLES

SERVICES: Final[Mapping[str, Service]] = {service.name: service for service in (ORDER, INVENTORY, PAYMENT, SHIPPING)}


@dataclass(frozen=True, slots=True)
class Machinery:
    """The guarantees of the simulated machinery; each can be removed to see what it is for."""

    inbox: bool = True
    inbox_lasts: int | None = None  # commits after which a claim is forgotten; None: never
    acknowledges_after_commit: bool = True
    publishes_after_commit: bool = True
    provider_knows_keys: bool = True
    sweeper: bool = True
    deadline: bool = True
    keeps_dead_letters: bool = True
    unknown_stays_unknown: bool = True


@dataclass(frozen=True, slots=True)
class Design:
    """Services, saga and machinery under one style."""

    style: str
    services: Mapping[str, Service] = field(default_factory=lambda: SERVICES)
    saga: Saga = CHECKOUT
    machinery: Machinery = field(default_factory=Machinery)

    def styles(self) -> dict[str, Style]:
        return {name: style_of(self.style, service, self.saga) for name, service in self.services.items()}

    def with_service(self, name: str, **changes: Any) -> "Design":
        return replace(self, services={**self.services, name: replace(self.services[name], **changes)})

    def with_handler(self, name: str, command: type[Command], decide: Any) -> "Design":
        """The same design, but `command` is decided by `decide`."""
        commands = self.services[name].commands
        return self.with_service(name, commands={**commands, command: Handler(decide, commands[command].answers)})

    def without_machinery(self, **off: Any) -> "Design":
        return replace(self, machinery=replace(self.machinery, **off))

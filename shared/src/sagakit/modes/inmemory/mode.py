"""Either style in memory. The broker is given, never found: whoever shares one says so."""

from sagakit.modes.broker import BrokerMode
from sagakit.modes.inmemory.transport import InMemoryBroker, InMemoryTransport
from sagakit.modes.styles import style_of
from sagakit.ports import Mode
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.topology import Topology


def build(
    style: str, settings: Settings, service: Service, saga: Saga, topology: Topology, broker: InMemoryBroker
) -> Mode:
    """The mode of one service over a broker that all services of one event loop share."""
    transport = InMemoryTransport(
        broker,
        service.name,
        topology,
        attempts=settings.delivery_attempts,
        batch=settings.batch_max,
        retry_initial=settings.retry_initial,
        retry_max=settings.retry_max,
    )
    return BrokerMode(
        style_of(style, service, saga), transport, frozenset(topology.channels), settings.delivery_attempts
    )

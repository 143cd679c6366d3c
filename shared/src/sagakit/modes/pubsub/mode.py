"""The two styles over Pub/Sub."""

from sagakit.modes.broker import BrokerMode
from sagakit.modes.pubsub.transport import PubSubTransport
from sagakit.modes.styles import style_of
from sagakit.ports import Mode
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.topology import Topology


def build(style: str, settings: Settings, service: Service, saga: Saga, topology: Topology) -> Mode:
    """Nothing is connected before the mode is started."""
    transport = PubSubTransport(settings, service.name, topology)
    return BrokerMode(
        style_of(style, service, saga), transport, frozenset(topology.channels), settings.delivery_attempts
    )

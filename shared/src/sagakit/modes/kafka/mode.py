"""Either style over Kafka."""

from sagakit.modes.broker import BrokerMode
from sagakit.modes.kafka.topology import group_of
from sagakit.modes.kafka.transport import KafkaTransport
from sagakit.modes.styles import style_of
from sagakit.ports import Mode
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.topology import Topology


def build(style: str, settings: Settings, service: Service, saga: Saga, topology: Topology) -> Mode:
    """The mode of one service; nothing is opened before its `start`."""
    transport = KafkaTransport(settings, service.name, topology, group=group_of(service.name, style))
    return BrokerMode(
        style_of(style, service, saga), transport, frozenset(topology.channels), settings.delivery_attempts
    )

"""Either style over SNS and SQS."""

from sagakit.modes.broker import BrokerMode
from sagakit.modes.sns_sqs.transport import SnsSqsTransport
from sagakit.modes.styles import style_of
from sagakit.ports import Mode
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.topology import Topology


def build(style: str, settings: Settings, service: Service, saga: Saga, topology: Topology) -> Mode:
    """The mode of one service; nothing is opened before its `start`."""
    return BrokerMode(
        style_of(style, service, saga),
        SnsSqsTransport(settings, service.name, topology),
        frozenset(topology.channels),
        settings.delivery_attempts,
    )

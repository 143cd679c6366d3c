"""Every coordination mode by name. The only place that tells modes apart; each is imported only when it is chosen."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION

if TYPE_CHECKING:
    from sagakit.ports import Mode, Transport
    from sagakit.saga import Saga
    from sagakit.service import Service
    from sagakit.settings import Settings
    from sagakit.topology import Topology


@dataclass(frozen=True, slots=True)
class ModeSpec:
    """One mode.

    `substrate` carries the messages, `style` says who turns an event into the next command. `in_flight`: so many orders
    may be admitted at once before anything is known of how fast they end; the last one still meets its deadline.
    """

    name: str
    substrate: str
    style: str
    in_flight: int = 400


MODES: Final[dict[str, ModeSpec]] = {
    spec.name: spec
    for spec in (
        ModeSpec("temporal-orchestration", "temporal", ORCHESTRATION, in_flight=80),
        ModeSpec("kafka-choreography", "kafka", CHOREOGRAPHY),
        ModeSpec("sns-sqs-choreography", "sns_sqs", CHOREOGRAPHY),
        ModeSpec("pubsub-choreography", "pubsub", CHOREOGRAPHY),
        ModeSpec("kafka-orchestration", "kafka", ORCHESTRATION),
        ModeSpec("sns-sqs-orchestration", "sns_sqs", ORCHESTRATION),
        ModeSpec("pubsub-orchestration", "pubsub", ORCHESTRATION),
        ModeSpec("temporal-choreography", "temporal", CHOREOGRAPHY, in_flight=80),
    )
}
ALIASES: Final[dict[str, str]] = {
    "temporal": "temporal-orchestration",
    "kafka": "kafka-choreography",
    "sns-sqs": "sns-sqs-choreography",
    "pubsub": "pubsub-choreography",
}
DEFAULT: Final = "temporal-orchestration"
SUBSTRATE_NAMES: Final = {"temporal": "Temporal", "kafka": "Kafka", "sns_sqs": "SNS/SQS", "pubsub": "Pub/Sub"}
"""What people call each substrate."""


def resolve(name: str) -> str:
    """The canonical name for a mode's name or alias.

    Raises:
        ValueError: The name is unknown; the message is one line that lists the valid names.
    """
    canonical = ALIASES.get(name, name)
    if canonical not in MODES:
        aliases = ", ".join(f"{alias} = {full}" for alias, full in ALIASES.items())
        raise ValueError(f"COORDINATION_MODE={name!r} is unknown; valid are: {', '.join(MODES)} (aliases: {aliases})")
    return canonical


def load(name: str, settings: "Settings", service: "Service", saga: "Saga", topology: "Topology") -> "Mode":
    """Import and build the mode of that canonical name, for one service; nothing is connected yet."""
    from sagakit.modes.broker import BrokerMode
    from sagakit.modes.styles import style_of

    spec = MODES[name]
    if spec.substrate == "temporal":
        from sagakit.modes.temporal import TemporalMode

        return TemporalMode(spec.style, settings, service, saga, topology)
    folder = import_module(f"sagakit.modes.{spec.substrate}")
    transport: Transport = folder.Transport(settings, service.name, topology)
    style = style_of(spec.style, service, saga)
    return BrokerMode(style, transport, frozenset(topology.channels), settings.delivery_attempts)

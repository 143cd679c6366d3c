"""Every coordination mode by name. The only place that tells modes apart; each is imported when it is chosen."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION

if TYPE_CHECKING:
    from sagakit.ports import Mode
    from sagakit.saga import Saga
    from sagakit.service import Service
    from sagakit.settings import Settings
    from sagakit.topology import Topology


@dataclass(frozen=True, slots=True)
class ModeSpec:
    """`substrate` carries the messages; `style` says who turns an event into the next command."""

    name: str
    substrate: str
    style: str


MODES: Final[dict[str, ModeSpec]] = {
    spec.name: spec
    for spec in (
        ModeSpec("temporal-orchestration", "temporal", ORCHESTRATION),
        ModeSpec("kafka-choreography", "kafka", CHOREOGRAPHY),
        ModeSpec("sns-sqs-choreography", "sns_sqs", CHOREOGRAPHY),
        ModeSpec("pubsub-choreography", "pubsub", CHOREOGRAPHY),
        ModeSpec("kafka-orchestration", "kafka", ORCHESTRATION),
        ModeSpec("sns-sqs-orchestration", "sns_sqs", ORCHESTRATION),
        ModeSpec("pubsub-orchestration", "pubsub", ORCHESTRATION),
        ModeSpec("temporal-choreography", "temporal", CHOREOGRAPHY),
    )
}
ALIASES: Final[dict[str, str]] = {
    "temporal": "temporal-orchestration",
    "kafka": "kafka-choreography",
    "sns-sqs": "sns-sqs-choreography",
    "pubsub": "pubsub-choreography",
}
DEFAULT: Final = "temporal-orchestration"


def resolve(name: str) -> str:
    """The canonical name for a mode's name or alias; ValueError with one line that lists the valid ones."""
    canonical = ALIASES.get(name, name)
    if canonical not in MODES:
        aliases = ", ".join(f"{alias} = {full}" for alias, full in ALIASES.items())
        raise ValueError(f"COORDINATION_MODE={name!r} is unknown; valid are: {', '.join(MODES)} (aliases: {aliases})")
    return canonical


def load(name: str, settings: "Settings", service: "Service", saga: "Saga", topology: "Topology") -> "Mode":
    """Import and build the mode of that canonical name; nothing is connected yet."""
    spec = MODES[name]
    module = import_module(f"sagakit.modes.{spec.substrate}.mode")
    mode: Mode = module.build(spec.style, settings, service, saga, topology)
    return mode

"""Channels and operations as AsyncAPI writes them, and what each channel of a topology carries."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from checkout.messages import COMMANDS_OF, EVENTS_OF
from checkout.saga import CHECKOUT
from sagakit.modes import MODES
from tests.contracts.asyncapi.messages import DEAD_LETTER

Json = dict[str, Any]

STYLES: Final = tuple(dict.fromkeys(spec.style for spec in MODES.values()))


@dataclass(frozen=True, slots=True)
class Part:
    """The channels of one carrier, and who sends to and receives from them."""

    channels: Json = field(default_factory=dict)
    operations: Json = field(default_factory=dict)

    def channel(self, key: str, modes: Iterable[str], content: Json, carries: Iterable[str], prefix: str = "") -> None:
        """Add a channel. `carries`: names of messages; the components have them with `prefix` before the name."""
        self.channels[key] = {
            **content,
            "messages": {
                name.rpartition(".")[2]: {"$ref": f"#/components/messages/{prefix}{name}"} for name in carries
            },
            "tags": [{"name": mode} for mode in modes],
        }

    def sends(self, service: str, key: str, names: Iterable[str], **more: Any) -> None:
        """Add that the service sends these messages to the channel."""
        self._operation("send", service, key, names, more)

    def receives(self, service: str, key: str, names: Iterable[str], **more: Any) -> None:
        """Add that the service receives these messages from the channel."""
        self._operation("receive", service, key, names, more)

    def given_up(self, service: str, key: str) -> None:
        """Add that the service sends its dead letters to the channel."""
        self._operation("send", service, key, [DEAD_LETTER], {})

    def _operation(self, action: str, service: str, key: str, names: Iterable[str], more: Json) -> None:
        self.operations[f"{service}.{action}s.{key}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{key}"},
            "messages": [{"$ref": f"#/channels/{key}/messages/{name.rpartition('.')[2]}"} for name in sorted(names)],
            "tags": [{"name": service}],
            **more,
        }


def modes_of(substrate: str, *styles: str) -> list[str]:
    """The names of the modes over a carrier, of all styles if none is given."""
    return [m.name for m in MODES.values() if m.substrate == substrate and (not styles or m.style in styles)]


def sender_of(channel: str) -> str:
    """The service that publishes to a channel of a topology."""
    _, service, kind = channel.split(".")
    return service if kind == "events" else CHECKOUT.owner


def carried(channel: str) -> list[str]:
    """The names of all messages that are published to a channel of a topology, subscribed or not."""
    _, service, kind = channel.split(".")
    return [message.__name__ for message in (EVENTS_OF if kind == "events" else COMMANDS_OF)[service]]

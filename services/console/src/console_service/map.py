"""The map of the services: who sends what to whom in the mode that runs, as SVG. Pure."""

from collections.abc import Iterator
from html import escape
from typing import Final

from checkout.topology import topology_of
from console_service.protocol import ModeView
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION

PLACES: Final = {"order": (95, 165), "inventory": (705, 55), "payment": (705, 165), "shipping": (705, 275)}
MIDDLE: Final = 380
_BOX: Final = (170, 66)


def draw_map(mode: ModeView) -> str:
    """Boxes for the services around what carries their messages; the page fills in what each of them does."""
    return "".join(_parts(mode))


def flows(mode: ModeView) -> list[tuple[str, str, int]]:
    """(from, to, how many kinds of messages) for each pair of services that talk in this mode."""
    counts: dict[tuple[str, str], int] = {}
    for subscription in topology_of(CHOREOGRAPHY if mode.choreography else ORCHESTRATION).subscriptions:
        _, owner, what = subscription.channel.split(".")
        sender = owner if what == "events" else "order"
        counts[sender, subscription.consumer] = counts.get((sender, subscription.consumer), 0) + len(subscription.types)
    return [(sender, consumer, number) for (sender, consumer), number in sorted(counts.items())]


def tells_lag(mode: ModeView) -> bool:
    """Whether services know how old a message is when it comes: those of brokers say when they were sent."""
    return mode.transport != "Temporal"


def _parts(mode: ModeView) -> Iterator[str]:
    told = "; ".join(f"{sender} to {consumer}: {number} kinds of messages" for sender, consumer, number in flows(mode))
    yield (
        '<svg class="saga map" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 330" role="img" '
        f'aria-label="Who sends to whom over {escape(mode.transport)}: {escape(told)}">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>'
    )
    for name in PLACES:
        yield from _connection(name, [sender for sender, consumer, _ in flows(mode) if consumer == name], mode)
    yield (
        f'<g class="lane carrier"><rect x="{MIDDLE - 58}" y="22" width="116" height="286" rx="14"/>'
        f'<text x="{MIDDLE}" y="46">{escape(mode.transport)}</text>'
        f'<text class="small" x="{MIDDLE}" y="298">{escape(mode.style)}</text></g>'
    )
    width, height = _BOX
    for name, (x, y) in PLACES.items():
        yield (
            f'<g class="lane service"><rect x="{x - width // 2}" y="{y - height // 2}" '
            f'width="{width}" height="{height}" rx="10"/>'
            f'<text x="{x}" y="{y - 6}">{name}</text>'
            f'<text class="small" x="{x}" y="{y + 15}" data-rate="{name}">waiting for numbers</text></g>'
        )
    yield "</svg>"


def _connection(name: str, senders: list[str], mode: ModeView) -> Iterator[str]:
    """What the service gives to the carrier, and what it gets from there."""
    x, y = PLACES[name]
    side = 1 if x < MIDDLE else -1
    edge, inside = x + side * _BOX[0] // 2, MIDDLE - side * 58
    middle = (edge + inside) // 2
    yield f'<path class="arrow" d="M{edge + side * 3} {y - 9}H{inside - side * 4}" marker-end="url(#tip)"/>'
    yield f'<text class="small" x="{middle}" y="{y - 16}" data-waiting="{name}"></text>'
    if senders:
        yield f'<path class="arrow" d="M{inside - side * 3} {y + 13}H{edge + side * 4}" marker-end="url(#tip)"/>'
        yield f'<text class="small" x="{middle}" y="{y + 30}">from {escape(_listed(senders))}</text>'
        if tells_lag(mode):
            yield f'<text class="small" x="{middle}" y="{y + 46}" data-lag="{name}"></text>'


def _listed(senders: list[str]) -> str:
    return "all three" if len(senders) > 2 else " and ".join(senders)

"""The map of the services: who sends what to whom in the mode that runs, as SVG. Pure."""

from collections.abc import Iterator
from html import escape
from typing import Final

from checkout.topology import topology_of
from console_service.protocol import ModeView
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION

PLACES: Final = {"order": (120, 165), "inventory": (640, 55), "payment": (640, 165), "shipping": (640, 275)}
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


def _parts(mode: ModeView) -> Iterator[str]:
    told = "; ".join(f"{sender} to {consumer}: {number} kinds of messages" for sender, consumer, number in flows(mode))
    yield (
        '<svg class="saga map" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 330" role="img" '
        f'aria-label="Who sends to whom over {escape(mode.transport)}: {escape(told)}">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>'
    )
    for sender, consumer, _ in flows(mode):
        yield _flow(sender, consumer)
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


def _flow(sender: str, consumer: str) -> str:
    """A line that enters the carrier at the sender's side and leaves it at the consumer's."""
    (x1, y1), (x2, y2) = PLACES[sender], PLACES[consumer]
    width = _BOX[0] // 2
    shift = 9 if sender == "order" else -9
    start = x1 + width if x1 < MIDDLE else x1 - width
    end = x2 + width + 4 if x2 < MIDDLE else x2 - width - 4
    if x1 > MIDDLE and x2 > MIDDLE:  # a participant to another: into the carrier and out again
        inside = MIDDLE + 40
        return f'<path class="arrow" d="M{start} {y1 + 20}H{inside}V{y2 - 20}H{end}" marker-end="url(#tip)"/>'
    middle = f"L{MIDDLE} {(y1 + y2) // 2 + shift}"
    return f'<path class="arrow" d="M{start} {y1 + shift}{middle}L{end} {y2 + shift}" marker-end="url(#tip)"/>'

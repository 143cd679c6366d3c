"""A diagram as SVG: where each lane, step and arrow goes. Pure; the page's style sheet gives it its colours.

Time runs downwards, a row for each step. A pause between two steps is drawn as a gap of fixed height with its length
written in it, so that a saga that waited for minutes fits on a screen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

from console_service.acts import Act
from console_service.diagram import CLIENT, PROVIDER, TRANSPORT, Arrow, Diagram, Step
from console_service.owed import Owed
from console_service.protocol import RECORD
from console_service.words import duration

LEFT: Final = 112
SPACING: Final = 142
TOP: Final = 58
ROW: Final = 38
PAUSE: Final = 30
ACT: Final = 34
PAUSE_FROM: Final = 0.5
"""Seconds between two steps from which on the pause is shown."""
LANES: Final = (CLIENT, "order", TRANSPORT, "inventory", "payment", "shipping", PROVIDER)
KINDS: Final = {CLIENT: "outside", TRANSPORT: "carrier", PROVIDER: "outside"}
WIDTH: Final = LEFT + SPACING * (len(LANES) - 1) + 82


@dataclass(frozen=True, slots=True)
class Options:
    """How to draw: `quiet` leaves out what a service only notes or does privately; `plain` has nothing to choose."""

    quiet: bool = False
    plain: bool = False


def lane_title(lane: str, diagram: Diagram) -> str:
    """What stands above a lane."""
    return {CLIENT: "customer", TRANSPORT: diagram.mode.transport, PROVIDER: "providers"}.get(lane, lane)


def shown_steps(diagram: Diagram, options: Options) -> list[Step]:
    """The steps that are drawn, in their order."""
    return [step for step in diagram.steps if not (options.quiet and is_minor(step))]


def is_minor(step: Step) -> bool:
    """Whether a step is of interest only to those who look closely."""
    noted = step.role == RECORD and step.kind == "event"
    from_provider = step.message.startswith("Record") and step.role != RECORD
    return noted or from_provider or step.message.endswith(("Requested", "Deferred"))


def draw(diagram: Diagram, options: Options = Options()) -> str:
    """The diagram as an SVG element."""
    return "".join(_Drawing(diagram, options).parts())


def _x(lane: str) -> int:
    return LEFT + SPACING * LANES.index(lane)


class _Drawing:
    def __init__(self, diagram: Diagram, options: Options) -> None:
        self.diagram, self.options = diagram, options
        self.steps = shown_steps(diagram, options)
        self.owed = [one for one in diagram.owed if not (options.quiet and one.role == RECORD)]
        self.start = diagram.started_at
        self.pauses: list[tuple[int, float]] = []
        self.acts: list[tuple[int, int, Act]] = []
        self.y: dict[str, int] = {}
        height = TOP
        before: datetime | None = None
        acts = list(reversed(diagram.acts))
        for number, step in enumerate(self.steps):
            while acts and acts[-1].at <= step.at:
                height += ACT
                self.acts.append((number, height, acts.pop()))
            pause = (step.at - before).total_seconds() if before else 0.0
            if pause >= PAUSE_FROM:
                self.pauses.append((height + PAUSE // 2, pause))
                height += PAUSE
            height += ROW
            self.y[step.message] = height
            before = max(step.at, before) if before else step.at
        for act in reversed(acts):
            height += ACT
            self.acts.append((len(self.steps) - 1, height, act))
        self.owed_top = height + 54
        self.owed_y = {one.message: self.owed_top + ROW * (number + 1) - 10 for number, one in enumerate(self.owed)}
        self.height = (self.owed_top + ROW * len(self.owed) + 24) if self.owed else height + 34

    def parts(self) -> Iterator[str]:
        title = f"The saga of order {self.diagram.order_id}, {self.diagram.mode.name}"
        yield (
            f'<svg class="saga" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
            f'width="{WIDTH}" height="{self.height}" role="group" aria-label="{escape(title)}">'
        )
        yield _DEFINITIONS
        yield from self._lanes()
        for y, seconds in self.pauses:
            yield (
                f'<g class="pause"><path d="M{LEFT - 30} {y}H{WIDTH - 40}"/>'
                f'<text x="{LEFT + SPACING * 3}" y="{y + 4}">{escape(duration(seconds))} without a step</text></g>'
            )
        for number, y, act in self.acts:
            yield self._act(number, y, act)
        arrows: dict[str, list[Arrow]] = {}
        for arrow in self.diagram.arrows:
            owner = arrow.received or arrow.sent
            if owner is not None:
                arrows.setdefault(owner.message, []).append(arrow)
        for number, step in enumerate(self.steps):
            yield from self._row(number, step, arrows.get(step.message, []))
        yield from self._still_owed()
        yield "</svg>"

    def _lanes(self) -> Iterator[str]:
        for lane in LANES:
            x, kind = _x(lane), KINDS.get(lane, "service")
            name = escape(lane_title(lane, self.diagram))
            yield (
                f'<g class="lane {kind}"><path class="life" d="M{x} {TOP - 8}V{self.height - 8}"/>'
                f'<rect x="{x - 54}" y="14" width="108" height="32" rx="8"/>'
                f'<text x="{x}" y="35">{name}</text></g>'
            )

    def _row(self, number: int, step: Step, arrows: list[Arrow]) -> Iterator[str]:
        x, y = _x(step.lane), self.y[step.message]
        yield f'<g class="row {step.role} {step.kind}" data-row="{number}">'
        yield self._times(step.at, y)
        for arrow in arrows:
            yield self._arrow(arrow, y)
        told = f"{step.message}, {step.kind} of {step.lane}, {self._since(step.at)} after the start"
        drawn = f'{self._marker(step, x, y)}<text class="name" x="{x}" y="{y - 11}">{escape(step.message)}</text>'
        if self.options.plain:
            yield drawn
        else:
            name = escape(step.message)
            yield f'<a href="#m-{name}" data-message="{name}" aria-label="{escape(told)}">'
            yield f'<rect class="hit" x="{x - 71}" y="{y - 25}" width="142" height="34" rx="6"/>{drawn}</a>'
        yield self._marks(step, x, y)
        yield "</g>"

    def _act(self, number: int, y: int, act: Act) -> str:
        """A line across all lanes where something was broken or healed."""
        early = self.start is not None and act.at < self.start
        told = f"{act.where}: {act.what}" + (", before the order" if early else "")
        return (
            f'<g class="act" data-row="{number}">{self._times(act.at, y)}<path d="M{LEFT - 30} {y}H{WIDTH - 40}"/>'
            f'<text x="{LEFT + SPACING * 3}" y="{y + 4}">⚡ {escape(told)}</text></g>'
        )

    def _times(self, moment: datetime, y: int) -> str:
        at = moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
        early = self.start is not None and moment < self.start
        relative = "before" if early else f"+{self._since(moment)}"
        times = (("rel", relative), ("abs", at))
        return "".join(f'<text class="time {kind}" x="8" y="{y + 4}">{text}</text>' for kind, text in times)

    def _since(self, at: datetime) -> str:
        return duration((at - self.start).total_seconds()) if self.start else ""

    @staticmethod
    def _marker(step: Step, x: int, y: int) -> str:
        if step.role == "pivot" and step.kind == "event":
            return f'<path class="mark" d="M{x} {y - 9}l9 9l-9 9l-9 -9z"/>'
        if step.kind == "command":
            return f'<circle class="mark" cx="{x}" cy="{y}" r="5"/>'
        if step.role == "undo":
            return f'<path class="mark" d="M{x + 5} {y - 7}v14l-11 -7z"/>'
        return f'<rect class="mark" x="{x - 6}" y="{y - 6}" width="12" height="12" rx="2"/>'

    @staticmethod
    def _marks(step: Step, x: int, y: int) -> str:
        if not step.marks:
            return ""
        return f'<text class="marks" x="{x + 12}" y="{y + 15}">↻ {escape(", ".join(step.marks))}</text>'

    def _arrow(self, arrow: Arrow, y: int) -> str:
        kind = f"arrow {arrow.kind} {arrow.role}"
        start, end = _x(arrow.source), _x(arrow.target)
        if arrow.source == arrow.target:
            return ""
        from_y = self.y.get(arrow.sent.message, y) if arrow.sent else y
        if arrow.received is None and arrow.sent is not None and arrow.sent.message in self.y:
            from_y = y = self.y[arrow.sent.message]
        relay = self._relay(arrow, y) if arrow.kind == "command" and arrow.sent is None else ""
        if not arrow.carried or from_y == y:
            path = f"M{_out(start, end)} {y}H{_in(end, start)}"
        else:
            middle = _x(TRANSPORT) + (end - start) // SPACING * 2
            path = f"M{_out(start, middle)} {from_y}H{middle}V{y}H{_in(end, middle)}"
        label = ""
        if arrow.kind in ("call", "answer"):
            word = arrow.message if arrow.kind == "call" else f"{arrow.message}: answer"
            label = f'<text class="label" x="{_x(PROVIDER) - 14}" y="{y + 13}">{escape(word)}</text>'
        return f'{relay}<path class="{kind}" d="{path}" marker-end="url(#head)"/>{label}'

    def _relay(self, arrow: Arrow, y: int) -> str:
        """The way of an answer through the orchestrator, from where it came in to the command that it became."""
        came = self.y.get(arrow.cause or "")
        if came is None:
            return ""
        x = _x("order")
        return f'<path class="relay" d="M{x} {came}V{y}"/><circle class="relay" cx="{x}" cy="{y}" r="3"/>'

    def _still_owed(self) -> Iterator[str]:
        if not self.owed:
            return
        y = self.owed_top - 22
        yield (
            f'<g class="ahead"><path d="M{LEFT - 60} {y}H{WIDTH - 40}"/><text x="8" y="{y + 4}">still owed</text></g>'
        )
        for one in self.owed:
            yield from self._owed_row(one)

    def _owed_row(self, one: Owed) -> Iterator[str]:
        x, y = _x(one.lane), self.owed_y[one.message]
        yield f'<g class="owed {one.role} {one.state}"><title>{escape(one.message)}: {escape(one.decided_by)}</title>'
        if one.sender != one.lane:
            start = _x(one.sender)
            yield f'<path class="arrow" d="M{_out(start, x)} {y}H{_in(x, start)}" marker-end="url(#head)"/>'
        yield f'<circle class="mark" cx="{x}" cy="{y}" r="5"/>'
        yield f'<text class="name" x="{x}" y="{y - 11}">{escape(one.message)}</text>'
        if one.state != "later":
            yield f'<text class="time" x="8" y="{y + 4}">{"running" if one.state == "running" else "next"}</text>'
        yield "</g>"


def _out(start: int, end: int) -> int:
    return start + (8 if end > start else -8)


def _in(end: int, start: int) -> int:
    return end + (-11 if end > start else 11)


_DEFINITIONS: Final = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>'
)

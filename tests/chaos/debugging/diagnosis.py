"""The scripted diagnosis: from the first symptom to the service and the step, by look-ups in a fixed order. Pure.

1. The first symptom: the earliest sight in a watched source that no control has.
2. If it names no order: the log, then what needs attention, then the auditor, until one names an order.
3. The log lines about that order, and its timelines in the four services, compared with those of the controls' orders
   of the same kind. If three services or more have something in them that no control has, the bug is in what they
   share. Otherwise the service of the first such thing in the timelines is named, or else that of the first step that
   all of the controls' orders have and this one lacks.
4. If the timelines name nothing: the order's Temporal histories, compared in the same way.
5. The log lines about the order, what needs attention, the auditor: the service that the first new one names.
6. If nothing above names a service: the one that the first symptom names.

Each source that is opened counts as one look-up, a timeline as one for each service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Final

from sagakit.modes import MODES
from tests.chaos.debugging.model import NONE, WATCHED, Seen, Sight, Source
from tests.chaos.plants import PATCHES, plant_of

SHARED: Final = "sagakit"
"""What the services have in common."""

MOST: Final = 3
"""So many services that differ have the bug in what they share."""

SERVICES: Final = 4
MESSAGE: Final = re.compile(r"\b[A-Z][a-z]+[A-Z][A-Za-z]+\b")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result for one run.

    `noticed` is the watched source of the first symptom, `after` its seconds and `symptom` what it shows; empty: there
    was none. `shown` has for each source the seconds after which it first showed something that no control has.
    `lookups` are the sources that were opened, one by one; `service` and `step` what the procedure named. `correct`:
    the plant is in that service, or in what they share; of a run without a plant: nothing was noticed.
    """

    plant: str
    mode: str
    orders: int
    noticed: str
    after: float | None
    symptom: str
    shown: Mapping[str, float]
    lookups: tuple[str, ...]
    service: str
    step: str
    correct: bool
    problem: str = ""

    @property
    def style(self) -> str:
        """`orchestration` or `choreography`."""
        return str(MODES[self.mode].style)


def diagnose(run: Seen, controls: Sequence[Seen]) -> Diagnosis:
    """Follow the procedure."""
    new = symptoms(run, controls)
    watched = [one for one in new if one.source in WATCHED]
    begin = watched[0] if watched else None
    opened, named = _traced(begin, [*new, *lacking(run, controls)], run.mode) if begin else ((), None)
    service, step = (named.service, named.step or step_in(named.what)) if named else ("", "")
    right = not begin if run.plant == NONE else service in home(run.plant)
    return Diagnosis(
        run.plant,
        run.mode,
        run.orders,
        begin.source if begin else "",
        round(begin.at, 1) if begin else None,
        begin.what if begin else "",
        {one.source: round(one.at, 1) for one in reversed(new)},
        opened,
        service,
        step,
        right,
        run.problem or next((one.problem for one in controls if one.problem), ""),
    )


def symptoms(run: Seen, controls: Sequence[Seen]) -> list[Sight]:
    """What no control shows, since the load began, the earliest first; at one time in the order of the sources."""
    usual = {one.key for control in controls for one in control.sights}
    order = list(Source)
    return sorted(
        (one for one in run.sights if one.at >= 0 and one.key not in usual),
        key=lambda one: (one.at, order.index(one.source)),
    )


def lacking(run: Seen, controls: Sequence[Seen]) -> list[Sight]:
    """The steps that orders lack, though the controls' orders of their kind all have them; in the order of these."""
    usual: dict[str, dict[tuple[str, str], float]] = {}
    for control in controls:
        for kind, steps in _steps(control).values():
            before = usual.get(kind, steps)
            usual[kind] = {step: min(at, before[step]) for step, at in steps.items() if step in before}
    return [
        Sight(inf, Source.TIMELINE, f"{kind}: there is no {step}", service, step, order)
        for order, (kind, steps) in _steps(run).items()
        for service, step in sorted(usual.get(kind, {}), key=lambda one: usual[kind][one])
        if (service, step) not in steps
    ]


def step_in(text: str) -> str:
    """The first message that a text names; empty: none."""
    found = MESSAGE.search(text)
    return found.group() if found else ""


def home(plant: str) -> frozenset[str]:
    """The services that a plant's patch changes, by the folders of its files; SHARED for what all services use."""
    files = [
        line.partition(" b/")[2]
        for line in (PATCHES / f"{plant_of(plant).name}.patch").read_text().splitlines()
        if line.startswith("diff --git ")
    ]
    parts = [Path(one).parts for one in files]
    return frozenset(one[1] if one[0] == "services" else SHARED for one in parts)


def _traced(begin: Sight, new: Sequence[Sight], mode: str) -> tuple[tuple[str, ...], Sight | None]:
    """The sources that were opened, and what named the service; None: nothing did."""
    opened = [begin.source]
    order = _suspect(begin, new, opened)
    found = _of_order([one for one in new if one.order == order], mode, opened) if order else None
    for source in (Source.ATTENTION, Source.AUDIT):
        if not found:
            _open(source, opened)
            found = _first(new, source)
    return tuple(map(str, opened)), found or (begin if begin.service else None)


def _suspect(begin: Sight, new: Sequence[Sight], opened: list[Source]) -> str:
    """The order to look at; empty: none is named."""
    order = begin.order
    for source in (Source.LOG, Source.ATTENTION, Source.AUDIT):
        if not order:
            _open(source, opened)
            order = next((one.order for one in new if one.source == source and one.order), "")
    return order


def _of_order(about: Sequence[Sight], mode: str, opened: list[Source]) -> Sight | None:
    """What the log and the timelines of the order show, or else its histories."""
    _open(Source.LOG, opened)
    opened += [Source.TIMELINE] * SERVICES
    differing = [one for one in about if one.source in (Source.TIMELINE, Source.LOG) and one.at < inf]
    if len({one.service for one in differing}) >= MOST:
        return replace(differing[0], service=SHARED)
    found = _first(about, Source.TIMELINE)
    if not found and MODES[mode].substrate == "temporal":
        _open(Source.HISTORY, opened)
        found = _first(about, Source.HISTORY)
    return found or _first(about, Source.LOG)


def _open(source: Source, opened: list[Source]) -> None:
    if source not in opened:
        opened.append(source)


def _steps(seen: Seen) -> dict[str, tuple[str, dict[tuple[str, str], float]]]:
    """Order -> its kind, and the steps in its timelines with their services: seconds after its first step."""
    began: dict[str, float] = {}
    found: dict[str, tuple[str, dict[tuple[str, str], float]]] = {}
    for one in sorted((one for one in seen.sights if one.source == Source.TIMELINE), key=lambda one: one.at):
        _, steps = found.setdefault(one.order, (one.what.partition(": ")[0], {}))
        steps.setdefault((one.service, one.step), one.at - began.setdefault(one.order, one.at))
    return found


def _first(sights: Iterable[Sight], source: Source) -> Sight | None:
    return next((one for one in sights if one.source == source and one.service), None)

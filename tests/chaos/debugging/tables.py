"""The tables of the debugging study. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from loadtests.bench.tables import Table
from sagakit.modes import MODES
from tests.chaos.debugging.diagnosis import Diagnosis
from tests.chaos.debugging.model import NONE, Source

STYLES: Final = ("orchestration", "choreography")
UNKNOWN: Final = "–"


def by_plant(found: Sequence[Diagnosis]) -> Table:
    """A row for each plant and mode: by what it was noticed, and what the procedure made of it."""
    head = ("plant", "mode", "noticed by", "after, s", "look-ups", "named", "correct")
    rows = []
    for one in _sorted(found):
        named = f"{one.service}: {one.step or 'no step'}" if one.service else "nothing"
        after, right = UNKNOWN if one.after is None else f"{one.after:.1f}", "yes" if one.correct else "**no**"
        rows.append((*_about(one), one.noticed or "nothing", after, str(len(one.lookups)), named, right))
    return Table("planted bugs, traced by the procedure", head, rows)


def by_source(found: Sequence[Diagnosis]) -> Table:
    """A row for each plant and mode: after how long each source first showed what the control does not show."""
    rows = [
        (*_about(one), *(f"{one.shown[source]:.1f}" if source in one.shown else UNKNOWN for source in Source))
        for one in _sorted(found)
    ]
    return Table("seconds until each source showed something", ("plant", "mode", *Source), rows)


def by_style(found: Sequence[Diagnosis]) -> Table:
    """A row for each style: medians over its plants and modes."""
    head = ("style", "runs", "noticed", "service named correctly", "noticed after, s (median)", "look-ups (median)")
    rows = []
    for style in STYLES:
        these = [one for one in found if one.style == style and one.plant != NONE]
        seen = [one.after for one in these if one.after is not None]
        right = [len(one.lookups) for one in these if one.correct]
        if these:
            counts = (str(len(these)), str(len(seen)), str(len(right)))
            rows.append((style, *counts, _median(seen), _median(right)))
    return Table("by style", head, rows)


def _sorted(found: Sequence[Diagnosis]) -> list[Diagnosis]:
    """By plant and mode; the runs without a plant come last."""
    modes = list(MODES)
    return sorted(found, key=lambda one: (one.plant == NONE, one.plant, modes.index(one.mode)))


def _about(one: Diagnosis) -> tuple[str, str]:
    return "no plant" if one.plant == NONE else f"`{one.plant}`", f"`{one.mode}`"


def _median(values: Sequence[float]) -> str:
    return f"{median(values):.1f}" if values else UNKNOWN

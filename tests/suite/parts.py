"""The part of the suite that a test belongs to, and its needs; both follow from its path, fixtures and marks."""

from pathlib import PurePath
from typing import Final

import pytest

from sagakit.modes import MODES
from tests.suite.choice import Needs

SERVERS: Final = frozenset({"postgres_server", "standby_stack", "switching_stack", "chaos_stack", "alerting_stack"})
"""The fixtures that start servers, besides `stack` with a mode. The mark `carrier` says what a broker's test starts."""

POSTGRES: Final = "unit tests on PostgreSQL"
STANDBY: Final = "end to end: a standby is promoted"
SWITCHING: Final = "end to end: switching modes"
CHAOS: Final = "end to end: chaos"
ALERTS: Final = "end to end: alerts"
ORPHANS: Final = "other"


def needs_of(item: pytest.Item) -> Needs:
    fixtures = frozenset(getattr(item, "fixturenames", ()))
    carrier = item.get_closest_marker("carrier")
    return Needs(
        servers=carrier is not None or _mode(item) is not None or bool(fixtures & SERVERS),
        modes=_modes(item, carrier),
        nightly=item.get_closest_marker("nightly") is not None,
        thorough=item.get_closest_marker("thorough") is not None,
    )


def _mode(item: pytest.Item) -> str | None:
    """The mode of the running stack that a test is parametrized with, if any."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("stack") if callspec is not None else None


def _modes(item: pytest.Item, carrier: pytest.Mark | None) -> frozenset[str]:
    if carrier is not None:
        substrate, *style = carrier.args
        specs = [mode for mode in MODES.values() if mode.substrate == substrate]
        return frozenset(mode.name for mode in specs if not style or mode.style in style)
    mode = _mode(item)
    return frozenset() if mode is None else frozenset({mode})


def part_of(item: pytest.Item) -> str:
    """The row of the report, and of the table of budgets, that a test counts for."""
    fixtures, path = frozenset(getattr(item, "fixturenames", ())), PurePath(item.nodeid.partition("::")[0])
    carrier = item.get_closest_marker("carrier")
    if carrier is not None:
        return conformance(carrier.args[0])
    if (mode := _mode(item)) is not None:
        return end_to_end(mode)
    if "standby_stack" in fixtures:
        return STANDBY
    if "switching_stack" in fixtures:
        return SWITCHING
    if "chaos_stack" in fixtures:
        return CHAOS
    if "alerting_stack" in fixtures:
        return ALERTS
    if "postgres_server" in fixtures:
        return POSTGRES
    return FOLDERS.get(path.parts[1] if len(path.parts) > 2 else "", ORPHANS)


FOLDERS: Final = {
    "unit": "unit tests",
    "contracts": "contracts",
    "architecture": "architecture",
    "agreement": "agreement, simulated",
    "e2e": "agreement, simulated",  # what needs no stack there: the expectations of the others
    "simulation": "simulation",
    "modes": "conformance: in memory",
}


def conformance(substrate: str) -> str:
    return f"conformance: {substrate}"


def end_to_end(mode: str) -> str:
    return f"end to end: {mode}"

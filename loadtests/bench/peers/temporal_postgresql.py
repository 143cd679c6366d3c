"""A mode over Temporal's own server on PostgreSQL, beside the same mode over Temporal's development server.

It is a run like that of the mode at the same rate: the same services, load, counters and audit. The server and its
database count as the carrier.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from loadtests.bench.parts import part
from loadtests.bench.record import Run
from loadtests.bench.run import Bench, Load
from loadtests.bench.turns import Turn
from quartet_stack import api
from quartet_stack.servers.components import Report

MODE: Final = "temporal-orchestration"
SETTINGS: Final[Mapping[str, str]] = {"TEMPORAL_STORE": "postgresql"}


def fetch(report: Report) -> None:
    """Build the server unless it is there already.

    Raises:
        StackError: It cannot be built here.
    """
    api.fetch(MODE, report, SETTINGS)


def measured(bench: Bench, turn: Turn, target: Path) -> Run:
    """Measure the mode at one rate."""
    of_mode = replace(turn, mode=MODE)
    bench.begin(of_mode, target, more=SETTINGS)
    load = Load(turn.rate, bench.plan.settle, bench.plan.duration, part(turn.part).mix)
    run = bench.audited(bench.measured(of_mode, load, target))
    bench.visit.mode = ""  # the next visit of a mode starts the stack again
    return replace(run, mode=turn.mode)

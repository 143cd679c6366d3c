"""The running stack, as actions and probes see it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from quartet_stack.layout import layout
from quartet_stack.settings import stack_environment
from tests.chaos.stack import StackUnderTest

_accounted: Final[set[str]] = set()
"""Dead letters that actions of this process have made on purpose; the audit must not hold them against the stack."""


def stack() -> StackUnderTest:
    """The running stack; StackError, which says what to do, if there is none."""
    folder: Path = layout(os.environ).root
    recorded = stack_environment(folder)
    return StackUnderTest(recorded["COORDINATION_MODE"], folder, recorded, settings=recorded, accounted=_accounted)

"""The breakdown of CPU time on a stack of its own: what a mode's services do today has kinds."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from loadtests.breakdown.kinds import CARRIER
from loadtests.breakdown.record import read
from loadtests.breakdown.shares import together
from quartet_stack.settings import SERVICES
from tests.e2e.conftest import CHAOS, OFFSET

MODE: Final = "temporal-orchestration"  # its client has threads that run no Python
BRIEF: Final = {"MODES": MODE, "CLIENTS": "10", "DURATION": "6"}


@pytest.mark.nightly
@pytest.mark.timeout(400)
def test_an_order_is_broken_down_into_kinds_of_work(chaos_stack: None, tmp_path: Path) -> None:
    own = {"STACK_DIR": str(CHAOS), "PORT_OFFSET": str(OFFSET), "REPORT": str(tmp_path)}
    words = [sys.executable, "-m", "loadtests.breakdown"]
    done = subprocess.run(words, env=os.environ | BRIEF | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = read(tmp_path / "raw.json").modes[MODE]
    assert measured.inside.keys() == set(SERVICES)
    assert together(measured)[CARRIER] > 0
    assert measured.inside["order"].native_ms[CARRIER] > 0
    assert sum(measured.statements.values()) > 0
    assert measured.carrier_floor

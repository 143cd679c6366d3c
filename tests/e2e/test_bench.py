"""`make bench` over a copy of the tree with one broken mode: its own checks find it, and say which mode it is."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.plants import Copy, copied
from tests.e2e.conftest import OFFSET

pytestmark = pytest.mark.nightly

BROKEN: Final = "kafka-choreography"
DOOR: Final = Path("shared/src/sagakit/engine/dispatcher.py")
PAYMENT: Final = Path("services/payment/src/payment_service/domain.py")
STALL: Final = f"""
                if __import__("os").environ["COORDINATION_MODE"] == "{BROKEN}":
                    await asyncio.sleep(0.05)
"""
BRIEF: Final = {"RUNS": "1", "DURATION": "6", "WARMUP": "2", "SETTLE": "1", "IDLE": "1"}
UNDISTURBED: Final = {"STEAL_MAX": "100", "FOREIGN_MAX": "100"}


@pytest.fixture
def copy(chaos_stack: None) -> Iterator[Copy]:
    """A copy of the tree, whose stacks are stopped afterwards."""
    with copied() as made:
        yield made


def broken(copy: Copy, path: Path, before: str, after: str) -> None:
    """Change a line of the copy."""
    text = (copy.folder / path).read_text()
    assert text.count(before) == 1
    (copy.folder / path).write_text(text.replace(before, after))


def bench(copy: Copy, folder: Path, **settings: str) -> list[str]:
    """What the checks of a short bench found; its exit status has to say so."""
    own = {"REPORT": str(folder), "BENCH_PORT_OFFSET": str(OFFSET)}
    environ = copy.environment(os.environ | BRIEF | UNDISTURBED | own | settings)
    words = [str(copy.python), "-m", "loadtests.bench"]
    done = subprocess.run(words, cwd=copy.folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert json.loads((folder / "raw.json").read_text())["runs"], "it is the checks that found something"
    return [line.removeprefix("found: ") for line in done.stdout.splitlines() if line.startswith("found: ")]


@pytest.mark.timeout(600)
def test_a_stall_of_50_ms_at_the_door_of_one_mode_is_found(copy: Copy, tmp_path: Path) -> None:
    broken(copy, DOOR, before := 'await failpoints.pass_by("before-handler")\n', before + STALL.removeprefix("\n"))
    found = bench(copy, tmp_path, MODES=f"{BROKEN},sns-sqs,pubsub")
    assert len(found) == 1
    assert found[0].startswith(f"{BROKEN}: a transaction takes ")


@pytest.mark.timeout(300)
def test_a_lost_settlement_is_found(copy: Copy, tmp_path: Path) -> None:
    captured = "return replace(payment, status=CAPTURED, open=False)"
    broken(copy, PAYMENT, captured, captured.replace("status=CAPTURED, ", ""))
    found = bench(copy, tmp_path, MODES=BROKEN)
    assert f"{BROKEN} at 5/s, run 1: the audit is not clean" in found

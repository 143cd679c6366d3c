"""The debugging study on real stacks: a planted bug is noticed, and traced to the service that has it."""

from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from tests.chaos.debugging.__main__ import Run, observe
from tests.chaos.debugging.diagnosis import diagnose
from tests.chaos.debugging.model import NONE, Source, read
from tests.e2e.conftest import OFFSET

MODE: Final = "temporal-orchestration"


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_wrong_amount_is_traced_to_payment(
    chaos_stack: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT_OFFSET", str(OFFSET))
    monkeypatch.setenv("SECONDS", "10")
    (tmp_path / "seen").mkdir()
    runs = [Run("wrong-amount", MODE), Run(NONE, MODE)]
    for run in runs:
        observe(run, tmp_path, Console(highlight=False, width=160))
    planted, control = (read(tmp_path / "seen" / run.file) for run in runs)
    assert {one.source for one in control.sights} >= {
        Source.METRIC,
        Source.CLIENT,
        Source.TIMELINE,
        Source.HISTORY,
    }
    assert not [one for one in control.sights if one.source == Source.AUDIT]
    found = diagnose(planted, [control])
    assert (found.service, found.correct) == ("payment", True)

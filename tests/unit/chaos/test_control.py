"""A control, a run over a known bug, passes if a check of the data finds the bug."""

from typing import Any

import pytest

from tests.chaos.control import finding
from tests.chaos.model import Verdict


def journal(**verdicts: str) -> dict[str, Any]:
    checks = [{"name": name, "verdict": verdict, "detail": "seen"} for name, verdict in verdicts.items()]
    return {"quartet": {"mode": "kafka-choreography", "checks": checks, "problem": ""}}


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (journal(audit="false", ends="true"), Verdict.TRUE),
        (journal(audit="true", ends="false"), Verdict.TRUE),
        (journal(audit="true", ends="true", recovery="false", felt="unknown"), Verdict.FALSE),
        (journal(audit="unknown", ends="unknown", throughput="false"), Verdict.UNKNOWN),
        (journal(), Verdict.UNKNOWN),
    ],
    ids=["the audit", "how orders ended", "slowness is no finding", "nobody looked", "no run"],
)
def test_only_a_check_of_the_data_finds_a_bug(seen: Any, verdict: Verdict) -> None:
    assert finding(seen)[0] is verdict


def test_a_plant_may_name_another_check_that_finds_it() -> None:
    seen = journal(audit="true", ends="true", healed="false")
    assert finding(seen)[0] is Verdict.FALSE
    assert finding(seen, ("audit", "healed"))[0] is Verdict.TRUE

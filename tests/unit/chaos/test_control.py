"""A control, a run over a known bug, is as it has to be when a check that looks at the books finds the bug."""

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
def test_a_bug_is_found_only_by_what_looks_at_the_books(seen: Any, verdict: Verdict) -> None:
    assert finding(seen)[0] is verdict

"""When a fault leaves the intake of orders alone, so that orders must be taken meanwhile."""

from __future__ import annotations

from typing import Final

from tests.chaos.evidence import Evidence
from tests.chaos.model import Injection

STOPS_INTAKE: Final = frozenset({"order", "order-db", "services", "mode"})
"""Parts without which no order can be taken, unless a fault hits only one of several replicas."""

RESTARTS: Final = 3.0
"""Seconds after a stop of the intake for which it need not take orders yet."""


def _stops_intake(one: Injection, replicas: int) -> bool:
    """Whether no order could be taken meanwhile. Of several replicas, a kill or a rolling restart spares some."""
    if "->" in one.target:
        return one.target.endswith("->order-db")
    spared = replicas > 1 and one.fault in ("kill", "pause", "rolling-restart")
    return one.target in STOPS_INTAKE and not spared


def free_intake(one: Injection, evidence: Evidence) -> list[tuple[float, float]]:
    """The times, from and to, during which this fault lasted and nothing that the intake needs was broken."""
    if _stops_intake(one, evidence.replicas):
        return []
    free = [(one.began, one.ended or evidence.phases.healed)]
    for other in evidence.injections:
        if _stops_intake(other, evidence.replicas):
            start, end = other.began, (other.ended or evidence.phases.healed) + RESTARTS
            free = [part for left, right in free for part in ((left, min(right, start)), (max(left, end), right))]
    return [(left, right) for left, right in free if left < right]

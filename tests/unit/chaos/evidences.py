"""Evidence of a run in which all went well, for tests to change."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from loadtests.history import Line
from tests.chaos.evidence import Evidence, OrderRow, Phases
from tests.chaos.model import Injection
from tests.chaos.usage import Sample

PHASES = Phases(load_began=100.0, faults_began=115.0, healed=140.0, load_ended=165.0)
MB = 2**20


def purchase(
    number: int, at: float, kind: str = "good", status: str = "COMPLETED", seconds: float | None = 0.2
) -> Iterator[Line]:
    """The lines of one shopper's order; `seconds` None: the shopper never got an answer."""
    about: dict[str, Any] = {
        "op": "order",
        "id": f"{number}",
        "customer": "alice",
        "key": f"key-{number}",
        "kind": kind,
    }
    yield {"type": "invoke", "at": at, **about, "order_id": None}
    if seconds is not None:
        end = {"order_id": f"order-{number}", "status": status, "ms": seconds * 1000, "value": {}}
        yield {"type": "ok", "at": at + seconds, **about, **end}


def row(number: int, at: float, reason: str | None = None, settled: bool = True, seconds: float = 0.5) -> OrderRow:
    status = "CANCELLED" if reason else "COMPLETED"
    return OrderRow(f"order-{number}", "alice", f"key-{number}", status, reason, settled, at + 0.1, at + seconds)


def sample(at: float, name: str = "order", **more: int) -> Sample:
    return Sample(at, name, **{"pid": 1, "memory": 80 * MB, "connections": 12, "threads": 4, "files": 30, **more})


def audited(**more: Any) -> dict[str, Any]:
    """A report of the auditor, as JSON values."""
    invariants = [{"number": n, "judged": True, "violations": 0, "found": []} for n in range(1, 11)]
    counts = {"orders": {"COMPLETED": 130}, "compensations": {"stock released": 3}}
    return {"invariants": invariants, "drained": True, "vacuous": False, "notes": [], "counts": counts, **more}


def violated(number: int) -> dict[str, Any]:
    violations = [{"subject": "order-9", "what": "captured twice"}]
    return audited(invariants=[{"number": number, "judged": True, "violations": 1, "found": violations}])


KILL = Injection("kill", "payment", 115.0, 118.0, True, "payment answers again")
PAUSE = Injection("pause", "inventory", 130.0, 140.0, True)


def fine(**more: Any) -> Evidence:
    """Two good orders a second over all phases, a kill and a pause that were felt, a clean audit."""
    times = [100.0 + number / 2 for number in range(130)]
    evidence = Evidence(
        PHASES,
        ("kill", "pause"),
        [KILL, PAUSE],
        [line for number, at in enumerate(times) for line in purchase(number, at)],
        [row(number, at) for number, at in enumerate(times)],
        [sample(110.0), sample(175.0)],
        audited(),
    )
    return replace(evidence, **more)

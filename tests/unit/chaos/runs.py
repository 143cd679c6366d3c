"""A small run that is easy to check by hand: its history and its journal."""

import json
from pathlib import Path
from typing import Any

WALL = 1_700_000_000.0
ORDER_ID = "0001-order"
HOSTILE = "<script>alert('x')</script>&\"'"


def line(mono: float, line_type: str, **fields: Any) -> dict[str, Any]:
    return {"at": WALL + mono, "mono": mono, "process": "test", "type": line_type, **fields}


def invoke(mono: float, number: str, op: str = "order", **fields: Any) -> dict[str, Any]:
    about = {"op": op, "id": number, "customer": "alice", "key": f"key-{number}", "kind": "good", "order_id": None}
    return line(mono, "invoke", **{**about, "value": {}, **fields})


def ended(mono: float, number: str, how: str = "ok", status: str | None = "COMPLETED", **fields: Any) -> dict[str, Any]:
    about = {"op": "order", "id": number, "customer": "alice", "key": f"key-{number}", "kind": "good", "value": {}}
    order_id = f"{number}-order" if how == "ok" else None
    return line(mono, how, **{**about, "order_id": order_id, "status": status, "ms": 1.0, **fields})


def history() -> list[dict[str, Any]]:
    """10 orders a second apart that take 0.5 s each, from 100 s on; one that is never answered; a refused one."""
    lines = [
        line(98.0, "ready", service="order", status="ready", reasons=[]),
        line(105.2, "ready", service="order", status="unreachable", reasons=["ConnectError"]),
        line(107.0, "ready", service="order", status="ready", reasons=[]),
        line(105.0, "fault", phase="start", fault="kill", target="order", felt=None, detail=""),
        line(107.0, "fault", phase="end", fault="kill", target="order", felt=True, detail=""),
        invoke(104.5, "lost"),
        invoke(108.1, "refused"),
        ended(108.2, "refused", "fail", None, value={"answer": 422, "code": "unknown_sku"}),
    ]
    for number in range(10):
        lines += [invoke(100.0 + number, f"{number:04d}"), ended(100.5 + number, f"{number:04d}")]
    return sorted(lines, key=lambda one: float(one["mono"]))


def journal(**changes: Any) -> dict[str, Any]:
    """The journal of that run; `changes` are of its part `quartet`."""
    injection = {
        "fault": "kill",
        "target": "order",
        "began": WALL + 105,
        "ended": WALL + 107,
        "felt": True,
        "detail": "pid 1 -> 2",
    }
    quartet = {
        "mode": "kafka-choreography",
        "seed": 7,
        "command": "make chaos FAULTS=kill SEED=7",
        "settings": {"rate": 1, "stack": {"OUTBOX_LEASE": "5"}},
        "verdict": "unknown",
        "problem": "",
        "checks": [
            {"name": "audit", "verdict": "true", "detail": "ten invariants hold"},
            {"name": "felt", "verdict": "unknown", "detail": "not run: disk-full"},
        ],
        "injections": [injection],
        "counts": {"kill": {"fired": 1, "felt": 1}},
        "missing": {"disk-full": "no tmpfs here"},
        "orders": {"by_kind": {"good": 12}, "by_status": {"COMPLETED": 10, "CANCELLED TIMED_OUT": 1}},
        "latency": {"before": {"orders": 5, "unanswered": 0, "p50": 500.0, "p95": 1500.0}, "after": {}},
        "worst": [
            {
                "order_id": ORDER_ID,
                "customer": "alice",
                "key": "key-0001",
                "status": "COMPLETED",
                "reason": None,
                "seconds": 0.4,
                "timeline": [
                    {
                        "at": "2023-11-14T22:15:01.200Z",
                        "service": "order",
                        "message": "OrderPlaced",
                        "kind": "event",
                        "cause": f"{ORDER_ID}/PlaceOrder",
                    },
                    {
                        "at": "2023-11-14T22:15:01.100Z",
                        "service": "order",
                        "message": "PlaceOrder",
                        "kind": "command",
                        "cause": None,
                    },
                ],
            }
        ],
    }
    return {
        "experiment": {"title": "kill under load", "description": "One service dies."},
        "platform": "Linux",
        "start": "2023-11-14T22:15:00.000+00:00",
        "end": "2023-11-14T22:15:20.000+00:00",
        "duration": 20.0,
        "status": "completed",
        "quartet": {**quartet, **changes},
    }


def write(folder: Path, document: Any, lines: list[dict[str, Any]] | None = None) -> Path:
    """Write the folder of a run."""
    (folder / "journal.json").write_text(json.dumps(document))
    if lines is not None:
        (folder / "history.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return folder

"""A saga to take away: as JSON, and as a sequence diagram of Mermaid. Pure."""

import json
from typing import Any

from console_service.diagram import CLIENT, PROVIDER, Diagram, Step
from console_service.drawing import lane_title
from console_service.protocol import PIVOT, ROLES


def as_json(diagram: Diagram) -> str:
    """Everything in the diagram, with the order's id, and times as RFC 3339."""
    return json.dumps(
        {
            "order_id": diagram.order_id,
            "mode": diagram.mode.name,
            "seconds": diagram.seconds,
            "steps": [_step(step) for step in diagram.steps],
            "arrows": [
                {
                    "message": arrow.message,
                    "kind": arrow.kind,
                    "role": arrow.role,
                    "from": arrow.source,
                    "to": arrow.target,
                    "cause": arrow.cause,
                    "carried_by": diagram.mode.transport if arrow.carried else None,
                    "sent": arrow.sent.message if arrow.sent else None,
                    "received": arrow.received.message if arrow.received else None,
                    "sent_at": arrow.sent.at.isoformat() if arrow.sent else None,
                    "received_at": arrow.received.at.isoformat() if arrow.received else None,
                }
                for arrow in diagram.arrows
            ],
            "acts": [{"at": act.at.isoformat(), "where": act.where, "what": act.what} for act in diagram.acts],
            "owed": [
                {
                    "message": one.message,
                    "by": one.lane,
                    "after": one.after,
                    "state": one.state,
                    "decided_by": one.decided_by,
                }
                for one in diagram.owed
            ],
        },
        indent=2,
    )


def _step(step: Step) -> dict[str, Any]:
    return {
        "message": step.message,
        "kind": step.kind,
        "service": step.lane,
        "role": step.role,
        "cause": step.cause,
        "at": step.at.isoformat(),
    }


def as_mermaid(diagram: Diagram) -> str:
    """The diagram in the language of Mermaid, which draws it in Markdown pages."""
    lines = ["sequenceDiagram"]
    used = {lane for arrow in diagram.arrows for lane in (arrow.source, arrow.target)}
    for lane in (CLIENT, "order", "inventory", "payment", "shipping", PROVIDER):
        if lane in used:
            kind = "actor" if lane == CLIENT else "participant"
            lines.append(f"    {kind} {lane} as {lane_title(lane, diagram)}")
    shown: set[tuple[str, str, str]] = set()
    by_step: dict[str, list[str]] = {}
    for arrow in diagram.arrows:
        same = (arrow.message, arrow.source, arrow.target)
        at = arrow.received or arrow.sent
        if same not in shown and at is not None:
            shown.add(same)
            head = "-->>" if arrow.kind in ("answer", "event") else "->>"
            by_step.setdefault(at.message, []).append(f"    {arrow.source}{head}{arrow.target}: {arrow.message}")
    acts = list(reversed(diagram.acts))
    for step in diagram.steps:
        while acts and acts[-1].at <= step.at:
            act = acts.pop()
            lines.append(f"    Note over order,shipping: {act.where}: {act.what}")
        lines += by_step.get(step.message, [])
        if step.role == PIVOT and step.kind == "event":
            lines.append(f"    Note over {step.lane}: {step.message} ({ROLES[PIVOT].partition(':')[0]})")
    lines += [f"    Note over {one.lane}: still owed: {one.message}" for one in diagram.owed]
    return "\n".join(lines) + "\n"

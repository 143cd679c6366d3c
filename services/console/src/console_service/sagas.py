"""One order as the saga page shows it: what the services and the provider say, gathered and put into words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from console_service.diagram import Diagram, Step, build
from console_service.drawing import Options, draw, is_minor, shown_steps
from console_service.owed import CANCELLED
from console_service.protocol import ENDS, STATUS_AFTER, ModeView, mode_view
from console_service.session import Session
from console_service.site import Site
from console_service.upstream import PROVIDER, Tagged, Timeline, Timelines

RARELY: Final = 3.0
"""Seconds between two requests for what participants and providers say besides, while an order is in flight."""


@dataclass(frozen=True)
class SagaView:
    """All that is known of one order.

    Attributes:
        order: What the order service says.
        diagram: Its saga.
        payment: What the payment service says; None if it knows no such payment.
        shipment: What the shipping service says; None if it knows no such shipment.
        ledger: The provider's own entries; None if the viewer may not see them.
        pruned: Whether its journals were deleted because it is old.
    """

    order: Mapping[str, Any]
    diagram: Diagram
    payment: Mapping[str, Any] | None = None
    shipment: Mapping[str, Any] | None = None
    ledger: Sequence[Mapping[str, Any]] | None = None
    title: str = field(default="")
    pruned: bool = False

    @property
    def traces(self) -> list[str]:
        """The ids of the traces that its messages belong to."""
        return list(dict.fromkeys(one for step in self.diagram.steps if (one := step.detail.get("trace_id"))))

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen, and the diagram shows all of it that is left."""
        return bool(self.order["settled"]) and (self.diagram.ended or self.pruned)

    def svg(self, quiet: bool = False, plain: bool = False) -> str:
        """The diagram as an SVG element."""
        return draw(self.diagram, Options(quiet=quiet, plain=plain))

    def shown(self, quiet: bool = False) -> list[Step]:
        """The steps in the diagram."""
        return shown_steps(self.diagram, Options(quiet=quiet))

    def minor(self, step: Step) -> bool:
        """Whether the short version leaves the step out."""
        return is_minor(step)


async def load(site: Site, session: Session, order_id: str, mode: ModeView | None = None) -> SagaView:
    """Ask everybody about an order of that mode, or else of the one that runs; Refused if the viewer may not see it."""
    return (await observe(site, session, order_id, mode)).view


async def observe(site: Site, session: Session, order_id: str, mode: ModeView | None = None) -> Observed:
    """The same, as the beginning of an observation."""
    order = await site.upstream.ask("order", "GET", f"/orders/{order_id}", session.token)
    known = await site.upstream.timelines(order_id, session.token)
    observed = Observed(site, session, order, mode or site.mode, known)
    await observed.besides()
    return observed


class Observed:
    """One order under observation: what its timelines tell at once, and what others say besides when it is asked for.

    While it is in flight nobody asks for the order again: its timeline tells what becomes of it.

    Attributes:
        view: All that is known.
        known: The timelines at the beginning, with their tags.
        since: When that was, by the clock of the event loop.
    """

    def __init__(self, site: Site, session: Session, order: Mapping[str, Any], mode: ModeView, known: Tagged) -> None:
        self._site, self._session, self._order, self._mode = site, session, order, mode
        self._id, self._token = str(order["order_id"]), session.token
        self._timelines: Timelines = {}
        self._stale: set[str] = set()
        self._asked = float("-inf")
        self.known, self.since = known, asyncio.get_running_loop().time()
        self.view = self.after({service: timeline for service, (_, timeline) in known.items()})

    def after(self, timelines: Timelines) -> SagaView:
        """The view when the timelines tell this."""
        before, self._timelines = self._timelines, timelines
        self._stale |= {name for name in timelines if name not in before or timelines[name] is not before[name]}
        diagram = build(self._id, self._mode, timelines, whole=self._session.is_operator)
        if diagram.started_at is not None:
            diagram = replace(diagram, acts=self._site.acts.concerning(diagram.started_at, diagram.ended_at))
        order, pruned = as_told(self._order, timelines["order"]), bool((timelines["order"] or {}).get("pruned"))
        known = self.view if before else SagaView(order, diagram)
        self.view = replace(known, order=order, diagram=diagram, pruned=pruned)
        return self.view

    async def besides(self) -> SagaView:
        """The view with what participants and providers say besides.

        Those whose timeline has changed are asked, every RARELY seconds, and once nothing is owed any more.
        """
        view, now = self.view, asyncio.get_running_loop().time()
        if not view.diagram.ended and now < self._asked + RARELY:
            return view
        stale, self._stale, self._asked = self._stale, set(), now
        asks = {
            "payment": self._part("payment", "/payments") if "payment" in stale else None,
            "shipment": self._part("shipping", "/shipments") if "shipping" in stale else None,
            "ledger": self._ledger() if stale & {"payment", "shipping"} and self._session.is_operator else None,
        }
        due = {name: ask for name, ask in asks.items() if ask is not None}
        self.view = replace(view, **dict(zip(due, await asyncio.gather(*due.values()), strict=True)))
        return self.view

    async def _part(self, service: str, path: str) -> Any:
        """What a participant has about the order; not asked before it has recorded anything."""
        if not (self._timelines[service] or {}).get("items"):
            return None
        return await self._site.upstream.maybe(service, f"{path}/{self._id}", self._token)

    async def _ledger(self) -> Any:
        found = await self._site.upstream.maybe(PROVIDER, "/ledger", self._token, {"order_id": self._id})
        return found["items"] if found else None


def as_told(order: Mapping[str, Any], timeline: Timeline) -> Mapping[str, Any]:
    """The order as it is after what its timeline tells of."""
    told: dict[str, Any] = {}
    for item in (timeline or {}).get("items", ()):
        event = item["message"]
        if event in STATUS_AFTER:
            told["status"] = STATUS_AFTER[event]
        if event == CANCELLED:
            told["cancellation_reason"] = (item.get("payload") or {}).get("reason")
        if event in ENDS.values():
            told["settled"] = True
    return {**order, **told}


def of_example(example: Mapping[str, Any]) -> SagaView:
    """An order that was recorded."""
    order = example["order"]
    diagram = build(order["order_id"], mode_view(order["mode"]), example["timelines"])
    return SagaView(order, diagram, ledger=example["ledger"], title=example["title"])

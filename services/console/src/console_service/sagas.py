"""One order as the saga page shows it: what the services and the provider say, gathered and put into words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any, Final

from console_service.diagram import Diagram, Step, build
from console_service.drawing import Options, draw, is_minor, shown_steps
from console_service.protocol import ModeView, mode_view
from console_service.session import Session
from console_service.site import Site
from console_service.upstream import PROVIDER, Timelines

AGAIN: Final = 0.5
"""Seconds until a service that did not answer is asked again."""
RARELY: Final = 1.0
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
    order = await site.upstream.ask("order", "GET", f"/orders/{order_id}", session.token)
    timelines = await site.upstream.timelines(order_id, session.token)
    return await Observed(site, session, order_id, mode or site.mode).after(timelines, order)


class Observed:
    """One order under observation: after each change only those are asked again whose timeline has changed.

    The participants' own views and the ledger are asked for every RARELY seconds, and once nothing is owed any more.
    """

    def __init__(self, site: Site, session: Session, order_id: str, mode: ModeView) -> None:
        self._site, self._session, self._mode = site, session, mode
        self._id, self._token = order_id, session.token
        self._known: dict[str, Any] = {}
        self._timelines: Timelines = {}
        self._stale: set[str] = set()
        self._asked = float("-inf")

    async def after(self, timelines: Timelines, order: Mapping[str, Any] | None = None) -> SagaView:
        """The view when the services say this; the order is asked for, after them, unless it is given."""
        if order is not None:
            self._known["order"] = order
        before, self._timelines = self._timelines, timelines
        changed = {name for name in timelines if name not in before or timelines[name] is not before[name]}
        diagram = build(self._id, self._mode, timelines, whole=self._session.is_operator)
        now = asyncio.get_running_loop().time()
        self._stale |= changed
        stale = self._stale
        if diagram.ended or now >= self._asked + RARELY:
            self._asked, self._stale = now, set()
        else:
            stale = set()
        asks = {
            "order": self._order() if order is None and "order" in changed else None,
            "payment": self._part("payment", "/payments") if "payment" in stale else None,
            "shipping": self._part("shipping", "/shipments") if "shipping" in stale else None,
            "ledger": self._ledger() if stale & {"payment", "shipping"} else None,
        }
        due = {name: ask for name, ask in asks.items() if ask is not None}
        self._known |= dict(zip(due, await asyncio.gather(*due.values()), strict=True))
        if diagram.started_at is not None:
            diagram = replace(diagram, acts=self._site.acts.concerning(diagram.started_at, diagram.ended_at))
        known = self._known
        pruned = bool((timelines["order"] or {}).get("pruned"))
        parts = (known.get("payment"), known.get("shipping"), known.get("ledger"))
        return SagaView(known["order"], diagram, *parts, pruned=pruned)

    async def _order(self) -> Any:
        """The order, asked for until the service answers."""
        for pause in chain([0.0], repeat(AGAIN)):
            await asyncio.sleep(pause)
            if (order := await self._site.upstream.maybe("order", f"/orders/{self._id}", self._token)) is not None:
                return order
        return None

    async def _part(self, service: str, path: str) -> Any:
        """What a participant has about the order; not asked before it has recorded anything."""
        if not (self._timelines[service] or {}).get("items"):
            return None
        return await self._site.upstream.maybe(service, f"{path}/{self._id}", self._token)

    async def _ledger(self) -> Any:
        if not self._session.is_operator:
            return None
        found = await self._site.upstream.maybe(PROVIDER, "/ledger", self._token, {"order_id": self._id})
        return found["items"] if found else None


def of_example(example: Mapping[str, Any]) -> SagaView:
    """An order that was recorded."""
    order = example["order"]
    diagram = build(order["order_id"], mode_view(order["mode"]), example["timelines"])
    return SagaView(order, diagram, ledger=example["ledger"], title=example["title"])

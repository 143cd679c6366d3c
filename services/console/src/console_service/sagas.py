"""One order as the saga page shows it: what the services and the provider say, gathered and put into words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from console_service.diagram import Diagram, Step, build
from console_service.drawing import Options, draw, is_minor, shown_steps
from console_service.protocol import ModeView, mode_view
from console_service.session import Session
from console_service.site import Site
from console_service.upstream import PROVIDER, Timelines


@dataclass(frozen=True)
class SagaView:
    """All that is known of one order.

    Attributes:
        order: What the order service says.
        diagram: Its saga.
        payment: What the payment service says; None if it knows no such payment.
        shipment: What the shipping service says; None if it knows no such shipment.
        ledger: The provider's own entries; None if the viewer may not see them.
    """

    order: Mapping[str, Any]
    diagram: Diagram
    payment: Mapping[str, Any] | None = None
    shipment: Mapping[str, Any] | None = None
    ledger: Sequence[Mapping[str, Any]] | None = None
    title: str = field(default="")

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen."""
        return bool(self.order["settled"])

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
    return await complete(site, session, order, timelines, mode or site.mode)


async def complete(
    site: Site, session: Session, order: Mapping[str, Any], timelines: Timelines, mode: ModeView
) -> SagaView:
    """The view of an order whose timelines are known."""
    order_id, token, maybe = order["order_id"], session.token, site.upstream.maybe
    payment, shipment, ledger = await asyncio.gather(
        maybe("payment", f"/payments/{order_id}", token) if _knows(timelines, "payment") else _nothing(),
        maybe("shipping", f"/shipments/{order_id}", token) if _knows(timelines, "shipping") else _nothing(),
        maybe(PROVIDER, "/ledger", token, {"order_id": order_id}) if session.is_operator else _nothing(),
    )
    diagram = build(order_id, mode, timelines)
    if diagram.started_at is not None:
        diagram = replace(diagram, acts=site.acts.concerning(diagram.started_at, diagram.ended_at))
    return SagaView(order, diagram, payment=payment, shipment=shipment, ledger=ledger["items"] if ledger else None)


def _knows(timelines: Timelines, service: str) -> bool:
    """Whether the service has anything about the order."""
    return bool((timelines.get(service) or {}).get("items"))


def of_example(example: Mapping[str, Any]) -> SagaView:
    """An order that was recorded."""
    order = example["order"]
    diagram = build(order["order_id"], mode_view(order["mode"]), example["timelines"])
    return SagaView(order, diagram, ledger=example["ledger"], title=example["title"])


async def _nothing() -> None:
    return None

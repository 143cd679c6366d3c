"""Two orders side by side: recorded examples that ship with the console, or orders of the viewer, of any mode."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from checkout import limits
from console_service.examples import EXAMPLES, KINDS, MODES, example
from console_service.plots import PUBLISHED, plots
from console_service.protocol import mode_view
from console_service.sagas import SagaView, load, of_example
from console_service.session import Session
from console_service.site import Site, sign_in_needed
from console_service.words import short
from sagakit.web.app import PRINTABLE, Problem

Chosen = Annotated[Annotated[str, PRINTABLE], Query(max_length=limits.ORDER_ID + 40)]
LEFT = "temporal-orchestration.completed"
RIGHT = "kafka-choreography.completed"


def compare_routes(site: Site) -> APIRouter:
    """The routes of the page that compares."""
    pages, router = Compare(site), APIRouter(include_in_schema=False)
    router.add_api_route("/compare", pages.show, methods=["GET"])
    return router


def facts(view: SagaView) -> dict[str, Any]:
    """What is compared in numbers."""
    arrows = view.diagram.arrows
    return {
        "style": f"{view.diagram.mode.style} over {view.diagram.mode.transport}",
        "ended": view.order["status"].lower(),
        "messages carried": len({(a.message, a.source, a.target) for a in arrows if a.carried}),
        "commands handled": sum(step.kind == "command" for step in view.diagram.steps),
        "calls to providers": sum(a.kind == "call" for a in arrows),
        "time from first to last step": view.diagram.seconds,
    }


class Compare:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request, left: Chosen = "", right: Chosen = "") -> Response:
        """Both sagas, with what can be counted; the orders kept last if none is chosen."""
        session = self._site.sessions.of(request)
        kept = [f"{order_id}@{mode}" for order_id, mode in session.kept]
        first, second = [LEFT, RIGHT, *kept][-2:] if len(kept) != 1 else (kept[0], LEFT)
        chosen = [left.strip() or first, right.strip() or second]
        views = [await self._view(session, one) for one in chosen]
        return self._site.page(
            request,
            "compare.html",
            session=session,
            sides=[
                {"name": name, "chosen": one, "title": _title(one), "view": view, "facts": facts(view)}
                for name, one, view in zip(("left", "right"), chosen, views, strict=True)
            ],
            kept={one: _title(one) for one in (*kept, *chosen) if one not in EXAMPLES},
            plots=plots(),
            published=PUBLISHED,
            kinds=KINDS,
            modes=MODES,
        )

    async def _view(self, session: Session, chosen: str) -> SagaView:
        if chosen in EXAMPLES:
            return of_example(example(chosen))
        order_id, _, mode = chosen.partition("@")
        if "." in chosen or (mode and mode not in MODES):
            raise Problem(404, "not_found", "There is no such example.")
        sign_in_needed(session)
        return await load(self._site, session, order_id, mode_view(mode) if mode else None)


def _title(chosen: str) -> str:
    """What a side is called: its kind of example, or its order."""
    if chosen in EXAMPLES:
        return chosen.replace(".", ": ")
    order_id, _, mode = chosen.partition("@")
    return f"order {short(order_id)}" + (f", {mode}" if mode else "")

"""Two orders side by side: recorded examples that ship with the console, or orders of the viewer, of any mode."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from checkout import limits
from console_service.examples import EXAMPLES, KINDS, MODES, example
from console_service.sagas import SagaView, load, of_example
from console_service.session import Session
from console_service.site import Site, sign_in_needed
from sagakit.web.app import PRINTABLE, Problem

Chosen = Annotated[Annotated[str, PRINTABLE], Query(max_length=limits.ORDER_ID)]
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

    async def show(self, request: Request, left: Chosen = LEFT, right: Chosen = RIGHT) -> Response:
        """Both sagas, with what can be counted."""
        session = self._site.sessions.of(request)
        views = [await self._view(session, chosen.strip()) for chosen in (left, right)]
        return self._site.page(
            request,
            "compare.html",
            session=session,
            sides=[
                {"name": name, "chosen": chosen.strip(), "view": view, "facts": facts(view)}
                for name, chosen, view in zip(("left", "right"), (left, right), views, strict=True)
            ],
            kinds=KINDS,
            modes=MODES,
        )

    async def _view(self, session: Session, chosen: str) -> SagaView:
        if chosen in EXAMPLES:
            return of_example(example(chosen))
        if "." in chosen:
            raise Problem(404, "not_found", "There is no such example.")
        sign_in_needed(session)
        return await load(self._site, session, chosen)

"""The tour: seven steps, each with one thing to do and one thing to see; it notices what has been done."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console_service.acts import KEPT
from console_service.site import Site
from console_service.tour import STEPS, done
from sagakit.modes import MODES


def learn_routes(site: Site) -> APIRouter:
    """The routes of the tour."""
    pages, router = Learn(site), APIRouter(include_in_schema=False)
    router.add_api_route("/learn", pages.show, methods=["GET"])
    router.add_api_route("/learn/mode", pages.mode, methods=["GET"])
    return router


class Learn:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request) -> Response:
        """All seven steps, with a mark at those that the viewer's orders show to be done."""
        session = self._site.sessions.of(request)
        orders: list[dict[str, Any]] = []
        if session.token:
            page = await self._site.upstream.maybe("order", "/orders", session.token, {"limit": "100"})
            orders = page["items"] if page else []
        names = list(MODES)
        other = names[(names.index(self._site.mode.name) + 1) % len(names)]
        return self._site.page(
            request,
            "learn.html",
            session=session,
            steps=STEPS,
            done=done(orders, self._site.acts.latest(KEPT)),
            other=other,
            began=self._site.mode.name,
        )

    async def mode(self, request: Request, began: str = "") -> Response:
        """Whether the mode is another one than when the page was loaded."""
        session = self._site.sessions.of(request)
        return self._site.page(request, "learn_mode.html", session=session, began=began)

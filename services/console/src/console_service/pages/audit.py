"""The auditor, for the operator: the verdict on one order, and on all of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from console_service.pages.saga import OrderId
from console_service.session import OPERATOR
from console_service.site import Site, sign_in_needed
from console_service.upstream import AUDITOR, Silent
from sagakit.web.app import Problem

PATIENCE: Final = 300.0
"""Seconds that an audit of all orders may take."""
RECENT: Final = 600
"""Seconds that count as recent."""


def audit_routes(site: Site) -> APIRouter:
    """The routes that ask the auditor."""
    pages, router = Audit(site), APIRouter(include_in_schema=False)
    router.add_api_route("/orders/{order_id}/verdict", pages.verdict, methods=["GET"])
    router.add_api_route("/flow/audit", pages.everything, methods=["GET"])
    return router


class Audit:
    """The handlers of the routes; each answers with a part of a page to htmx, and with a page to all others."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def verdict(self, request: Request, order_id: OrderId) -> Response:
        """Whether one order is as it must be."""
        found = await self._ask(request, f"/verdicts/{order_id}", {})
        return self._shown(request, "verdict_part.html", verdict=found, back=f"/orders/{order_id}")

    async def everything(
        self, request: Request, what: Annotated[Literal["recent", "all"], Query()] = "recent"
    ) -> Response:
        """Whether all orders are, or all that changed in the last ten minutes."""
        found = await self._ask(request, "/audit", {"since": str(RECENT)} if what == "recent" else {})
        return self._shown(request, "audit_part.html", audit=found, back="/flow")

    async def _ask(self, request: Request, path: str, params: dict[str, str]) -> Any:
        session = self._site.sessions.of(request)
        sign_in_needed(session, OPERATOR)
        try:
            return await self._site.upstream.ask(AUDITOR, "GET", path, session.token, params=params, patience=PATIENCE)
        except Silent:
            raise Problem(503, "unavailable", "No auditor runs in this stack; make audit does the same.") from None

    def _shown(self, request: Request, part: str, **values: Any) -> Response:
        template = part if "hx-request" in request.headers else "audit.html"
        return self._site.page(request, template, part=part, **values)

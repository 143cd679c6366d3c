"""What all orders do: their states with the slow ones first, the services on a map, and what needs a human."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console_service.diagram import SERVICES
from console_service.map import draw_map, tells_lag
from console_service.metrics import totals
from console_service.session import OPERATOR, Session
from console_service.site import Site, form_by, go
from console_service.upstream import PROVIDER, Refused
from sagakit.web.app import JsonResponse, Problem

OPEN: Final = ("PENDING", "CONFIRMED")
MANY: Final = 50
ACTIONS: Final = ("retry", "dismiss")


def flow_routes(site: Site) -> APIRouter:
    """The routes of the page about all orders."""
    pages, router = Flow(site), APIRouter(include_in_schema=False)
    router.add_api_route("/flow", pages.show, methods=["GET"])
    router.add_api_route("/flow/now", pages.now, methods=["GET"])
    router.add_api_route("/flow/numbers", pages.numbers, methods=["GET"])
    router.add_api_route("/attention/{service}/{action}", pages.act, methods=["POST"])
    return router


class Flow:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request) -> Response:
        """The whole page."""
        session = self._site.sessions.of(request)
        return self._site.page(
            request,
            "flow.html",
            session=session,
            map=draw_map(self._site.mode),
            lag=tells_lag(self._site.mode),
            **await self._state(session),
        )

    async def now(self, request: Request) -> Response:
        """The part of the page that changes."""
        session = self._site.sessions.of(request)
        return self._site.page(request, "flow_part.html", session=session, **await self._state(session))

    async def numbers(self) -> Response:
        """What each service has done so far; the page turns two of these into rates."""
        texts = await asyncio.gather(*(self._site.upstream.text(service, "/metrics") for service in SERVICES))
        acts = [
            {"at": act.at.timestamp(), "told": f"{act.where}: {act.what}"}
            for act in reversed(self._site.acts.latest(MANY))
        ]
        services = {name: totals(text) for name, text in zip(SERVICES, texts, strict=True)}
        return JsonResponse({"at": time.time(), "services": services, "acts": acts})

    async def act(self, request: Request, service: str, action: str) -> Response:
        """Retry or dismiss what needs attention."""  # noqa: DOC501
        session, form = await form_by(self._site, request, OPERATOR)
        if service not in SERVICES or action not in ACTIONS:
            raise Problem(404, "not_found", "There is no such action.")
        body = {"reason": form.get("reason") or "dismissed in the console"} if action == "dismiss" else None
        item = quote(form.get("id", ""), safe="/")
        try:
            done = await self._site.upstream.ask(
                service, "POST", f"/attention/{item}/{action}", session.token, body=body
            )
        except Refused as refused:
            return await self._told(request, session, f"{service}: {refused.detail}")
        if action == "retry" and not done.get("retried", True):
            return await self._told(request, session, f"{service}: it failed again: {done.get('detail') or done}")
        return go("/flow")

    async def _told(self, request: Request, session: Session, problem: str) -> Response:
        return self._site.page(
            request,
            "flow.html",
            session=session,
            status=409,
            map=draw_map(self._site.mode),
            lag=tells_lag(self._site.mode),
            **{**await self._state(session), "problem": problem},
        )

    async def _state(self, session: Session) -> dict[str, Any]:
        upstream = self._site.upstream
        health = asyncio.gather(*(upstream.health(service) for service in (*SERVICES, PROVIDER)))
        orders = asyncio.gather(*(self._orders(session, status) for status in (*OPEN, "COMPLETED", "CANCELLED")))
        attention = asyncio.gather(*(self._attention(session, service) for service in SERVICES))
        states, pages, items = await health, await orders, await attention
        by_state = dict(zip((*OPEN, "COMPLETED", "CANCELLED"), pages, strict=True))
        undoing = [order for order in by_state["CANCELLED"] if not order["settled"]]
        stuck = sorted((*by_state["PENDING"], *by_state["CONFIRMED"], *undoing), key=lambda order: order["created_at"])
        return {
            "health": dict(zip((*SERVICES, PROVIDER), states, strict=True)),
            "counts": {status: len(found) for status, found in by_state.items()},
            "many": MANY,
            "stuck": stuck[:20],
            "attention": [
                {**item, "service": service} for service, found in zip(SERVICES, items, strict=True) for item in found
            ],
            "acts": self._site.acts.latest(10),
            "problem": "",
        }

    async def _orders(self, session: Session, status: str) -> list[dict[str, Any]]:
        if not session.token:
            return []
        page = await self._site.upstream.maybe(
            "order", "/orders", session.token, {"status": status, "limit": str(MANY)}
        )
        return list(page["items"]) if page else []

    async def _attention(self, session: Session, service: str) -> list[dict[str, Any]]:
        if not session.is_operator:
            return []
        page = await self._site.upstream.maybe(service, "/attention", session.token, {"limit": "20"})
        return list(page["items"]) if page else []

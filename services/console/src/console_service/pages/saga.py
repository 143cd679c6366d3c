"""The orders of the viewer, and the saga of one order: live, replayed, and to take away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from checkout import limits
from console_service.drawing import Options
from console_service.exports import as_json, as_mermaid
from console_service.following import follow
from console_service.live import Fragment
from console_service.sagas import Observed, SagaView, load
from console_service.session import Session, form_of
from console_service.site import Site, go, sign_in_needed
from console_service.standalone import standalone
from console_service.upstream import Refused
from console_service.waterfall import MOST, bars, draw_waterfall, read
from sagakit.web.app import PRINTABLE, EventStream, ShutdownSignal, drain_of

OrderId = Annotated[str, Path(max_length=limits.ORDER_ID), PRINTABLE]
Draining = Annotated[ShutdownSignal, Depends(drain_of)]
Status = Annotated[str, Query(max_length=20)]
Detail = Annotated[str, Query(max_length=10)]


def saga_routes(site: Site) -> APIRouter:
    """The routes about orders and their sagas."""
    pages, router = Sagas(site), APIRouter(include_in_schema=False)
    router.add_api_route("/orders", pages.listing, methods=["GET"])
    router.add_api_route("/orders/{order_id}", pages.show, methods=["GET"])
    router.add_api_route("/orders/{order_id}/live", pages.live, methods=["GET"])
    router.add_api_route("/orders/{order_id}/cancel", pages.cancel, methods=["POST"])
    router.add_api_route("/orders/{order_id}/keep", pages.keep, methods=["POST"])
    router.add_api_route("/orders/{order_id}/trace", pages.trace, methods=["GET"])
    router.add_api_route("/orders/{order_id}/saga.svg", pages.svg, methods=["GET"])
    router.add_api_route("/orders/{order_id}/saga.json", pages.json, methods=["GET"])
    router.add_api_route("/orders/{order_id}/saga.mmd", pages.mermaid, methods=["GET"])
    return router


class Sagas:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def listing(self, request: Request, status: Status = "", cursor: str = "") -> Response:
        """The viewer's orders, newest first; the operator's are all orders."""
        session = self._signed_in(request)
        params = {name: value for name, value in (("status", status), ("cursor", cursor)) if value}
        page = await self._site.upstream.ask("order", "GET", "/orders", session.token, params={"limit": "25", **params})
        return self._site.page(
            request, "orders.html", session=session, orders=page["items"], following=page["next_cursor"], state=status
        )

    async def show(self, request: Request, order_id: OrderId, detail: Detail = "main") -> Response:
        """The saga of one order."""
        session = self._signed_in(request)
        view = await self._load(session, order_id)
        return self._site.page(request, "saga.html", session=session, view=view, quiet=detail != "all", problem="")

    async def live(self, request: Request, order_id: OrderId, drain: Draining, detail: Detail = "main") -> Response:
        """The same, as server-sent events: the changed part of the page, until the order is settled."""
        session = self._signed_in(request)
        order = await self._site.upstream.ask("order", "GET", f"/orders/{order_id}", session.token)
        return EventStream(self._changes(session, order, quiet=detail != "all"), drain)

    async def cancel(self, request: Request, order_id: OrderId) -> Response:
        """Ask the order service to cancel the order."""  # noqa: DOC501
        session = self._signed_in(request)
        await form_of(request, session)
        try:
            await self._site.upstream.ask("order", "POST", f"/orders/{order_id}/cancel", session.token)
        except Refused as refused:
            if refused.status != 409:
                raise
            view = await self._load(session, order_id)
            return self._site.page(
                request, "saga.html", session=session, status=409, view=view, quiet=True, problem=refused.detail
            )
        return go(f"/orders/{order_id}")

    async def keep(self, request: Request, order_id: OrderId) -> Response:
        """Remember the order, with the mode that runs, to compare it: also after another mode has been started."""
        session = self._signed_in(request)
        await form_of(request, session)
        response = go("/compare")
        self._site.sessions.keep_orders(response, request, [*session.kept, (order_id, self._site.mode.name)])
        return response

    async def trace(self, request: Request, order_id: OrderId) -> Response:
        """The spans of the order, as far as the services have written them to files."""
        session = self._signed_in(request)
        view = await self._load(session, order_id)
        spans = await asyncio.to_thread(read, self._site.settings.trace_folder, view.traces)
        found = bars(spans)
        return self._site.page(
            request, "trace.html", session=session, view=view, bars=found[:MOST], svg=draw_waterfall(found)
        )

    async def svg(self, request: Request, order_id: OrderId, detail: Detail = "all") -> Response:
        """The diagram as a picture."""
        view = await self._load(self._signed_in(request), order_id)
        picture = standalone(view.diagram, Options(quiet=detail != "all"), self._site.assets)
        return _download(picture, "image/svg+xml", order_id, "svg")

    async def json(self, request: Request, order_id: OrderId) -> Response:
        """The diagram's data."""
        view = await self._load(self._signed_in(request), order_id)
        return _download(as_json(view.diagram), "application/json", order_id, "json")

    async def mermaid(self, request: Request, order_id: OrderId) -> Response:
        """The diagram as text for Mermaid."""
        view = await self._load(self._signed_in(request), order_id)
        return _download(as_mermaid(view.diagram), "text/plain; charset=utf-8", order_id, "mmd")

    def _signed_in(self, request: Request) -> Session:
        session = self._site.sessions.of(request)
        sign_in_needed(session)
        return session

    async def _load(self, session: Session, order_id: str) -> SagaView:
        return await load(self._site, session, order_id)

    async def _changes(self, session: Session, order: Mapping[str, Any], quiet: bool) -> AsyncIterator[Any]:
        """The page after each change: what happened is shown at once, and what others say about it as soon as known."""

        def shown(view: SagaView) -> Fragment:
            return Fragment(self._site.fragment("saga_part.html", view=view, quiet=quiet, session=session))

        observed = Observed(self._site, session, order, self._site.mode)
        async with aclosing(follow(self._site.upstream, order["order_id"], session.token)) as changes:
            told: SagaView | None = None
            async for timelines in changes:
                view = observed.after(timelines)
                if told is not None:
                    yield shown(view)
                    told = view
                if (more := await observed.besides()) != told:
                    yield shown(more)
                    told = more
                if view.ended:
                    yield Fragment("", event="done")
                    return


def _download(text: str, media_type: str, order_id: str, suffix: str) -> Response:
    name = f"saga-{order_id[:8]}.{suffix}"
    safe = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name if letter.isascii())
    return Response(text, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{safe}"'})

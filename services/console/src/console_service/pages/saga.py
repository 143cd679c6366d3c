"""The orders of the viewer, and the saga of one order: live, replayed, and to take away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from checkout import limits
from console_service.drawing import Options
from console_service.exports import as_json, as_mermaid
from console_service.following import follow
from console_service.live import Fragment
from console_service.sagas import Observed, SagaView, load, observe
from console_service.session import Session, form_of
from console_service.site import Site, go, sign_in_needed
from console_service.standalone import standalone
from console_service.upstream import Refused
from console_service.waterfall import MOST, bars, draw_waterfall, read
from sagakit.web.app import PRINTABLE, Draining, EventStream

SOON: Final = 5.0
"""Seconds in which the live part of a page goes on from what the page has shown."""
OPENED: Final = 100
"""So many pages are remembered until their live part begins."""

OrderId = Annotated[str, Path(max_length=limits.ORDER_ID), PRINTABLE]
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
        self._opened: dict[tuple[str, str], Observed] = {}

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
        observed = await observe(self._site, session, order_id)
        if not observed.view.ended:
            self._opened[session.token, order_id] = observed
            while len(self._opened) > OPENED:
                del self._opened[next(iter(self._opened))]
        return self._site.page(
            request, "saga.html", session=session, view=observed.view, quiet=detail != "all", problem=""
        )

    async def live(self, request: Request, order_id: OrderId, drain: Draining, detail: Detail = "main") -> Response:
        """The same, as server-sent events: the changed part of the page, until the order is settled.

        It goes on from what the page has just shown. Where that was long ago, or was not here, it asks everybody again.
        """
        session = self._signed_in(request)
        observed = self._opened.pop((session.token, order_id), None)
        goes_on = observed is not None and observed.since + SOON > asyncio.get_running_loop().time()
        if observed is None or not goes_on:
            observed = await observe(self._site, session, order_id)
        return EventStream(self._changes(session, observed, quiet=detail != "all", goes_on=goes_on), drain)

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

    async def _changes(
        self, session: Session, observed: Observed, *, quiet: bool, goes_on: bool
    ) -> AsyncIterator[Fragment]:
        """The page after each change: what happened is shown at once, and what others say about it as soon as known.

        The end is shown together with what they say: it is soon known, and the page then is at its largest.
        """

        def shown(view: SagaView) -> Fragment:
            return Fragment(self._site.fragment("saga_part.html", view=view, quiet=quiet, session=session))

        order_id = str(observed.view.order["order_id"])
        async with aclosing(follow(self._site.upstream, order_id, session.token, observed.known)) as changes:
            if not goes_on:
                yield shown(observed.view)
            while not observed.view.ended:
                view = observed.after(await anext(changes))
                if not view.ended:
                    yield shown(view)
                if await observed.besides() != view or view.ended:
                    yield shown(observed.view)
        yield Fragment("", event="done")


def _download(text: str, media_type: str, order_id: str, suffix: str) -> Response:
    name = f"saga-{order_id[:8]}.{suffix}"
    safe = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name if letter.isascii())
    return Response(text, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{safe}"'})

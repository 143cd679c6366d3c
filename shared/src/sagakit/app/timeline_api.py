"""Timelines over HTTP: as they are, and as they change. Their customer and operators may see them."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from sagakit.app import documents
from sagakit.app.documents import FOLLOWED, ORDER_EXAMPLE, TIMELINE
from sagakit.app.host import ServiceContext
from sagakit.app.timeline import Timelines, tag_of
from sagakit.web.app import Anyone, Draining, EventStream, JsonResponse, NotFound, Principal
from sagakit.web.documents import TOO_MANY_STREAMS, described
from sagakit.web.feeds import StreamLimit

OwnerOf = Callable[[str], Awaitable[str | None]]
Known = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=100,
        description="The `id` of the last event, or the `ETag` of the timeline, that is known.",
    ),
]


def timeline_routes(context: ServiceContext, owner_of: OwnerOf, streams: StreamLimit) -> APIRouter:
    """The routes; `owner_of` tells an order's customer, `streams` limits who follows."""
    router = APIRouter()
    timelines = Timelines(context.database, context.engine, context.final_rows.entities, context.settings.replicas)

    async def visible(order_id: str, caller: Principal) -> bool:
        return caller.is_admin or await owner_of(order_id) == caller.subject

    async def timeline(order_id: str, caller: Anyone) -> Response:
        """What this service has done about an order: its journal, its calls, and what the process observed besides."""  # noqa: DOC501
        found = await timelines.of(order_id) if await visible(order_id, caller) else None
        if found is None:
            raise NotFound("No such order here.")
        return JsonResponse(found, headers={"ETag": tag_of(found)})

    async def follow(order_id: str, caller: Anyone, drain: Draining, known: Known = None) -> Response:
        """Stream the timeline of an order, whole, now and after each change; `null` while there is none to be seen.

        After Last-Event-ID only what differs from it. A stream ends after a minute: come again with Last-Event-ID.
        """
        owner = await owner_of(order_id)  # also for an operator: without its database the service answers 503
        seen = caller.is_admin or owner == caller.subject

        async def look() -> documents.Timeline | None:
            nonlocal seen
            seen = seen or await visible(order_id, caller)
            return await timelines.of(order_id) if seen else None

        leave = streams.admit(caller.subject)
        return EventStream(timelines.follow(order_id, known or "", look), drain, closed=leave)

    about = described("get_timeline", {200: TIMELINE}, tag="operations", examples=ORDER_EXAMPLE)
    router.add_api_route("/timeline/{order_id}", timeline, methods=["GET"], **about)
    about = described("follow_timeline", {200: FOLLOWED}, TOO_MANY_STREAMS, tag="operations", examples=ORDER_EXAMPLE)
    router.add_api_route("/timeline/{order_id}/events", follow, methods=["GET"], **about)
    return router

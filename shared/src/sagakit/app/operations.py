"""What every service's HTTP interface has in common: timelines, `/activity`, `/attention`, and faults."""

import os
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from sagakit.app.attention_api import routes
from sagakit.app.documents import ACTIVITY, Faults
from sagakit.app.host import ServiceContext
from sagakit.app.timeline import events
from sagakit.app.timeline_api import OwnerOf, timeline_routes
from sagakit.faults import POINTS, Action, Failpoint, failpoints
from sagakit.modes.unreliable import Kind, MessageFault, message_faults
from sagakit.web.app import Admin, Draining, EventStream, JsonResponse
from sagakit.web.documents import FORBIDDEN, TOO_MANY_STREAMS, described
from sagakit.web.feeds import StreamLimit


class FaultIn(BaseModel):
    """One failpoint: `action` happens the `hit`th time that `point` is passed; a pause or stall takes `seconds`."""

    model_config = ConfigDict(extra="forbid")

    point: Literal[POINTS]  # type: ignore[valid-type]
    action: Action
    hit: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    seconds: Annotated[float, Field(ge=0, le=600)] = 0.0


class MessageFaultIn(BaseModel):
    """What happens to a share of the messages that this process publishes; a delay takes `seconds` at most."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    seconds: Annotated[float, Field(ge=0, le=600)] = 2.0


class FaultsIn(BaseModel):
    """Replaces all faults of the process: its failpoints, and what happens to messages, if anything."""

    model_config = ConfigDict(extra="forbid")

    set: list[FaultIn]
    messages: MessageFaultIn | None = None


def operations_router(context: ServiceContext, owner_of: OwnerOf) -> APIRouter:
    """What all services have; `/faults` only with FAULT_INJECTION on. `owner_of` tells an order's customer."""
    router = APIRouter()
    streams = StreamLimit(context.settings.streams_per_customer)

    async def activity(caller: Admin, drain: Draining) -> Response:
        """Stream what this process does from now on: commands, calls, retries, failures; `skipped` counts the rest."""
        leave = streams.admit(caller.subject)
        return EventStream(events(context.engine.activity), drain, closed=leave)

    async def faults(caller: Admin) -> Response:
        """The faults that are set in this process, and how often each kind has fired."""
        return JsonResponse(
            {
                "set": list(failpoints.armed.values()),
                "messages": message_faults.current,
                "fired": failpoints.fired | message_faults.fired,
                "points": POINTS,
                "pid": os.getpid(),
            }
        )

    async def set_faults(body: FaultsIn, caller: Admin) -> Response:
        """Replace the faults of this process; each replica has its own."""
        failpoints.set([Failpoint(it.point, it.action, it.hit, it.seconds) for it in body.set])
        fault = body.messages
        message_faults.current = MessageFault(fault.kind, fault.share, fault.seconds) if fault else None
        return await faults(caller)

    if context.settings.fault_injection:
        for verb, handler, name in (("GET", faults, "get_faults"), ("PUT", set_faults, "set_faults")):
            about = described(name, {200: Faults}, FORBIDDEN, tag="faults", uses_store=False)
            router.add_api_route("/faults", handler, methods=[verb], **about)
    about = described(
        "follow_activity", {200: ACTIVITY}, FORBIDDEN, TOO_MANY_STREAMS, tag="operations", uses_store=False
    )
    router.add_api_route("/activity", activity, methods=["GET"], **about)
    router.include_router(timeline_routes(context, owner_of, streams))
    router.include_router(routes(context.attention))
    return router

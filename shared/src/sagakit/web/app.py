"""The web side of a service: the application factory, and everything that routers import from one place.

Guarantee: whatever a router does, errors are problem details, bodies are bounded, health and metrics respond, and
waiting handlers are released when the process stops.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from sagakit.texts import PRINTABLE, VISIBLE
from sagakit.web.auth import (
    Admin,
    Anyone,
    Customer,
    Principal,
    Verifier,
    issue_token,
    require_admin,
    require_caller,
    require_customer,
)
from sagakit.web.docs import add_docs
from sagakit.web.documents import METRICS, Live, NotReady, Ready, described
from sagakit.web.errors import on_http_exception, on_invalid, on_problem
from sagakit.web.middleware import Head, LimitBody, Observe
from sagakit.web.numbers import WHOLE
from sagakit.web.openapi import document
from sagakit.web.problems import (
    Conflict,
    Invalid,
    JsonResponse,
    NotFound,
    Problem,
    Unavailable,
    is_outage,
)
from sagakit.web.requests import (
    DEFAULT_LIMIT,
    Cursor,
    IdempotencyKey,
    Limit,
    PreferWait,
    decode_cursor,
    decode_instant,
    encode_cursor,
    iso,
    page,
    parse_prefer_wait,
    plain_idempotency_key,
    plain_prefer_wait,
)
from sagakit.web.shortcuts import PlainRequest, Shortcut, ShortcutRouter, Shortcuts
from sagakit.web.streaming import EventGroup, EventStream, ServerSentEvent, ShutdownSignal

__all__ = [
    "DEFAULT_LIMIT",
    "PRINTABLE",
    "VISIBLE",
    "WHOLE",
    "Admin",
    "Anyone",
    "Application",
    "Conflict",
    "Cursor",
    "Customer",
    "Draining",
    "EventGroup",
    "EventStream",
    "IdempotencyKey",
    "Invalid",
    "JsonResponse",
    "Limit",
    "NotFound",
    "PlainRequest",
    "PreferWait",
    "Principal",
    "Problem",
    "Readiness",
    "ServerSentEvent",
    "ShortcutRouter",
    "ShutdownSignal",
    "Unavailable",
    "create_app",
    "decode_cursor",
    "decode_instant",
    "drain_of",
    "encode_cursor",
    "iso",
    "issue_token",
    "page",
    "parse_prefer_wait",
    "plain_idempotency_key",
    "plain_prefer_wait",
    "require_admin",
    "require_caller",
    "require_customer",
]

Readiness = Callable[[], Awaitable[Mapping[str, Any]]]
"""Returns the body of `/health/ready`. The process is not ready if it raises, takes longer than READINESS_TIMEOUT, or
returns `"ready": False`; it is degraded if the body names dependencies under `"away"`."""

READINESS_TIMEOUT: Final = 2.0  # seconds


class Application(FastAPI):
    """FastAPI with a document that states all answers, and with shortcuts (`sagakit.web.shortcuts`)."""

    def __init__(self, *, shortcuts: dict[str, Shortcut], **more: Any) -> None:
        super().__init__(**more)
        self.shortcuts = shortcuts

    def include_router(self, router: APIRouter, **more: Any) -> None:
        """Add the routes of a router, and their shortcuts if it has some."""
        super().include_router(router, **more)
        if isinstance(router, ShortcutRouter):
            self.shortcuts.update(router.shortcuts)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if not self.openapi_schema:
            self.openapi_schema = document(self)
        return self.openapi_schema


def create_app(
    title: str,
    settings: Settings,
    readiness: Readiness,
    *,
    routers: Sequence[APIRouter] = (),
    metrics: Metrics | None = None,
) -> FastAPI:
    """Create an application with health, metrics, documentation, authentication and problem details.

    Its `state` holds `settings`, `metrics`, `verifier` and `drain`.
    """
    metrics, drain, shortcuts = metrics or Metrics(), ShutdownSignal(), dict[str, Shortcut]()
    verifier = Verifier(settings.token_public_keys, leeway=settings.jwt_leeway)
    app = Application(
        shortcuts=shortcuts,
        title=title,
        version="1",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        # what is off here is not looked for at each request
        telemetry={"tracing": settings.makes_spans, "metrics": False, "logs": False},
        middleware=[
            Middleware(Observe, metrics=metrics),
            Middleware(Shortcuts, shortcuts=shortcuts, verifier=verifier, drain=drain),
            Middleware(LimitBody),
            Middleware(Head),
        ],
        exception_handlers={
            Problem: on_problem,
            HTTPException: on_http_exception,
            RequestValidationError: on_invalid,
        },
    )
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.verifier = verifier
    app.state.drain = drain
    app.include_router(_operations(settings, readiness, metrics, drain))
    for router in routers:
        app.include_router(router)
    add_docs(app)
    return app


async def drain_of(request: Request) -> ShutdownSignal:
    """Dependency: the process's `ShutdownSignal`, for handlers that wait."""
    drain: ShutdownSignal = request.app.state.drain
    return drain


Draining = Annotated[ShutdownSignal, Depends(drain_of)]
"""A handler's parameter of this type is the process's `ShutdownSignal`."""


def _operations(settings: Settings, readiness: Readiness, metrics: Metrics, drain: ShutdownSignal) -> APIRouter:
    router = APIRouter()
    about = {"service": settings.service, "mode": settings.coordination_mode, "pid": os.getpid()}

    async def live() -> Response:
        """Whether the process runs, whatever the state of its dependencies."""
        return JsonResponse({"status": "live", **about})

    async def ready() -> Response:
        """200 if the service can take work, even if it is degraded; 503 otherwise. The body says why."""
        if drain.started:
            return _readiness_answer({**about, "ready": False, "reason": "stopping"})
        try:
            async with asyncio.timeout(READINESS_TIMEOUT):
                state = await readiness()
        except TimeoutError:
            state = {"ready": False, "reason": f"no answer within {READINESS_TIMEOUT:g} s"}
        except Exception as error:
            state = {
                "ready": False,
                "reason": "store not reachable" if is_outage(error) else type(error).__name__,
            }
        return _readiness_answer({"ready": True, **about, **state})

    async def exposition(request: Request) -> Response:
        """All metrics of this process as Prometheus' text; with exemplars in OpenMetrics, for whoever accepts that."""
        content, media_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    router.add_api_route(
        "/health/live", live, methods=["GET"], **described("live", {200: Live}, tag="operations", uses_store=False)
    )
    about_ready = described("ready", {200: Ready, 503: NotReady}, tag="operations", uses_store=False)
    router.add_api_route("/health/ready", ready, methods=["GET"], **about_ready)
    about_metrics = described("metrics", {200: METRICS}, tag="operations", uses_store=False)
    router.add_api_route("/metrics", exposition, methods=["GET"], response_class=PlainTextResponse, **about_metrics)
    return router


def _readiness_answer(body: Mapping[str, Any]) -> Response:
    if body["ready"]:
        return JsonResponse({"status": "degraded" if body.get("away") else "ready", **body})
    return JsonResponse({"status": "not ready", **body}, 503, headers={"Retry-After": "1"})

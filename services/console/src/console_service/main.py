"""The composition root of the console. It opens no database and no broker: it asks the services over HTTP."""

import os
from collections.abc import Mapping
from typing import Any, Final

import httpx
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from console_service.pages.audit import audit_routes
from console_service.pages.breaking import break_routes
from console_service.pages.compare import compare_routes
from console_service.pages.flow import flow_routes
from console_service.pages.front import front_routes
from console_service.pages.learn import learn_routes
from console_service.pages.saga import saga_routes
from console_service.pages.shop import shop_routes
from console_service.session import Sessions
from console_service.site import Protect, Site
from console_service.upstream import Refused, Silent, Upstream
from sagakit import modes
from sagakit.app.server import serve
from sagakit.logs import configure_logging
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from sagakit.web.app import Problem, create_app

DEFAULTS: Final = {"SERVICE": "console", "HTTP_PORT": "8000"}


def build(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> tuple[FastAPI, Upstream]:
    """Build the application, and the client of the services that the caller closes; nothing is opened yet."""

    async def readiness() -> Mapping[str, Any]:
        return {"fault_injection": settings.fault_injection}

    app = create_app("Console", settings, readiness, metrics=Metrics())
    upstream = Upstream(settings, transport)
    site = Site(settings, upstream, Sessions(app.state.verifier, settings.http_port))
    parts = (
        front_routes,
        shop_routes,
        saga_routes,
        audit_routes,
        flow_routes,
        break_routes,
        compare_routes,
        learn_routes,
    )
    for routes in parts:
        app.include_router(routes(site))
    for kind in (Problem, HTTPException, Refused, Silent):
        app.add_exception_handler(kind, site.on_problem)
    app.user_middleware.insert(0, Middleware(Protect))
    return app, upstream


async def main() -> int:
    """Run the console until a signal ends it; return the exit status."""
    environ = {**DEFAULTS, **{name: value for name, value in os.environ.items() if value}}
    settings = Settings.from_env(environ)
    settings = settings.model_copy(update={"coordination_mode": modes.resolve(settings.coordination_mode)})
    configure_logging(settings.service, settings.coordination_mode, settings.log_level)
    app, upstream = build(settings)

    async def startup() -> None:
        """Nothing has to be opened: connections are made when a page needs them."""

    return await serve(app, settings, startup, upstream.close)

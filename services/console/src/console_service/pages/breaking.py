"""Break it: failpoints of the services, faults of messages, and the provider's behaviour, through `/faults`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console_service.diagram import SERVICES
from console_service.session import OPERATOR, Session
from console_service.site import Site, form_by, go
from console_service.upstream import PROVIDER
from sagakit.faults import POINTS
from sagakit.web.app import Problem

ACTIONS: Final = {
    "kill": "ends the process, as a crash does; it is started again",
    "fail": "raises an error there, once",
    "stall": "waits there, as if the process were frozen",
}
MESSAGES: Final = {
    "duplicated": "are sent twice",
    "delayed": "are sent late",
    "reordered": "overtake each other",
    "concurrent": "are sent twice at the same time",
}
PROVIDERS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "well": ("works", {}),
    "slow": ("takes a second for each call", {"latency_ms": 1000}),
    "flaky": ("fails half of all calls", {"error_rate": 0.5}),
    "down": ("fails every call", {"error_rate": 1}),
    "silent": ("does what it is asked, and loses half of its answers", {"lose_answers": 0.5}),
}
"""Behaviour -> what the page says, and what is sent to the sandbox."""
NO_MESSAGES: Final = "none"


def break_routes(site: Site) -> APIRouter:
    """The routes of the page that breaks things."""
    pages, router = Break(site), APIRouter(include_in_schema=False)
    router.add_api_route("/break", pages.show, methods=["GET"])
    router.add_api_route("/break/service", pages.service, methods=["POST"])
    router.add_api_route("/break/messages", pages.messages, methods=["POST"])
    router.add_api_route("/break/provider", pages.provider, methods=["POST"])
    router.add_api_route("/break/heal", pages.heal, methods=["POST"])
    return router


class Break:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request) -> Response:
        """What can be broken, and what is broken at the moment."""
        session = self._site.sessions.of(request)
        state: list[Any] = []
        if session.is_operator and self._site.settings.fault_injection:
            names = (*SERVICES, PROVIDER)
            found = await asyncio.gather(*(self._site.upstream.maybe(name, "/faults", session.token) for name in names))
            state = list(zip(names, found, strict=True))
        return self._site.page(
            request,
            "break.html",
            session=session,
            state=state,
            services=SERVICES,
            points=POINTS,
            actions=ACTIONS,
            messages=MESSAGES,
            providers=PROVIDERS,
        )

    async def service(self, request: Request) -> Response:
        """Set one failpoint of one service, and leave its messages as they are."""
        session, form = await form_by(self._site, request, OPERATOR)
        service = _one_of(form, "service", SERVICES)
        before = await self._faults(session, service)
        point = {
            "point": _one_of(form, "point", POINTS),
            "action": _one_of(form, "action", ACTIONS),
            "hit": _number(form, "hit", 1),
            "seconds": _number(form, "seconds", 10),
        }
        await self._set(session, service, {"set": [point], "messages": before["messages"]})
        return go("/break")

    async def messages(self, request: Request) -> Response:
        """Set what happens to the messages of one service, and leave its failpoints as they are."""
        session, form = await form_by(self._site, request, OPERATOR)
        service = _one_of(form, "service", SERVICES)
        before = await self._faults(session, service)
        kind = _one_of(form, "kind", (*MESSAGES, NO_MESSAGES))
        fault = None if kind == NO_MESSAGES else {"kind": kind, "share": 1.0, "seconds": _number(form, "seconds", 1)}
        await self._set(session, service, {"set": before["set"], "messages": fault})
        return go("/break")

    async def provider(self, request: Request) -> Response:
        """Change how both providers behave."""
        session, form = await form_by(self._site, request, OPERATOR)
        behaviour = _one_of(form, "behaviour", PROVIDERS)
        await self._set(session, PROVIDER, PROVIDERS[behaviour][1])
        return go("/break")

    async def heal(self, request: Request) -> Response:
        """Take all faults back."""
        session, _ = await form_by(self._site, request, OPERATOR)
        whole: dict[str, Any] = {"set": [], "messages": None}
        await asyncio.gather(*(self._set(session, service, whole) for service in SERVICES))
        if self._site.settings.providers == "sandbox":
            await self._set(session, PROVIDER, {})
        return go("/break")

    async def _faults(self, session: Session, service: str) -> Any:
        return await self._site.upstream.ask(service, "GET", "/faults", session.token)

    async def _set(self, session: Session, service: str, body: Mapping[str, Any]) -> None:
        await self._site.upstream.ask(service, "PUT", "/faults", session.token, body=body)


def _one_of(form: Mapping[str, str], name: str, valid: Any) -> str:
    value = form.get(name, "")
    if value not in valid:
        raise Problem(422, "validation", f"{name}: must be one of {', '.join(valid)}")
    return value


def _number(form: Mapping[str, str], name: str, otherwise: int) -> int:
    value = form.get(name, "") or str(otherwise)
    if not value.isdecimal() or not 0 < int(value[:4]) <= 600:
        raise Problem(422, "validation", f"{name}: must be a whole number from 1 to 600")
    return int(value[:4])

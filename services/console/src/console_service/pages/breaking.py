"""Break it: failpoints of the services, faults of messages, the provider and the network; each act is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console_service.acts import HEAL
from console_service.diagram import SERVICES
from console_service.network import NETWORK, Network
from console_service.session import OPERATOR, Session
from console_service.site import Site, form_by, go
from console_service.upstream import PROVIDER
from sagakit.faults import POINTS
from sagakit.web.app import Problem

ACTIONS: Final = {
    "kill": "ends the process, as a crash does; it is started again",
    "pause": "stops the whole process, as a frozen machine does; it goes on after these seconds",
    "stall": "waits there for these seconds; the rest of the process goes on",
    "fail": "raises an error there, once",
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
    for name in ("service", "messages", "provider", "network", "heal"):
        router.add_api_route(f"/break/{name}", getattr(pages, name), methods=["POST"])
    return router


class Break:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site, self._acts = site, site.acts
        self._network = Network(site.settings.toxiproxy_url, site.upstream)

    async def show(self, request: Request) -> Response:
        """What can be broken, and what is broken at the moment."""
        session = self._site.sessions.of(request)
        state: list[Any] = []
        links: Mapping[str, str] = {}
        if session.is_operator and self._site.settings.fault_injection:
            names = (*SERVICES, PROVIDER)
            found = await asyncio.gather(*(self._site.upstream.maybe(name, "/faults", session.token) for name in names))
            state, links = list(zip(names, found, strict=True)), await self._network.links()
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
            links=links,
            network=NETWORK,
        )

    async def service(self, request: Request) -> Response:
        """Set one failpoint of one service, and leave its messages as they are."""
        session, form = await form_by(self._site, request, OPERATOR)
        service = _one_of(form, "service", SERVICES)
        before = await self._faults(session, service)
        point, action = _one_of(form, "point", POINTS), _one_of(form, "action", ACTIONS)
        hit, seconds = _number(form, "hit", 1), _number(form, "seconds", 10)
        fault = {"point": point, "action": action, "hit": hit, "seconds": seconds}
        await self._set(session, service, {"set": [fault], "messages": before["messages"]})
        self._acts.add(action, service, f"{action} at {point}" + (f", passing {hit}" if hit > 1 else ""))
        return go("/break")

    async def messages(self, request: Request) -> Response:
        """Set what happens to the messages of one service, and leave its failpoints as they are."""
        session, form = await form_by(self._site, request, OPERATOR)
        service = _one_of(form, "service", SERVICES)
        before = await self._faults(session, service)
        kind = _one_of(form, "kind", (*MESSAGES, NO_MESSAGES))
        fault = None if kind == NO_MESSAGES else {"kind": kind, "share": 1.0, "seconds": _number(form, "seconds", 1)}
        await self._set(session, service, {"set": before["set"], "messages": fault})
        self._acts.add(kind, service, f"its messages {MESSAGES.get(kind, 'are sent as they should be')}")
        return go("/break")

    async def provider(self, request: Request) -> Response:
        """Change how both providers behave."""
        session, form = await form_by(self._site, request, OPERATOR)
        behaviour = _one_of(form, "behaviour", PROVIDERS)
        about, body = PROVIDERS[behaviour]
        await self._set(session, PROVIDER, body)
        self._acts.add(behaviour, "the providers", f"each {about}")
        return go("/break")

    async def network(self, request: Request) -> Response:
        """Break one connection of a service, or mend it."""
        _, form = await form_by(self._site, request, OPERATOR)
        link, kind = _one_of(form, "link", await self._network.links()), _one_of(form, "kind", NETWORK)
        await self._network.set(link, kind)
        self._acts.add(kind, link, f"the connection {NETWORK[kind]}")
        return go("/break")

    async def heal(self, request: Request) -> Response:
        """Take all faults back."""
        session, _ = await form_by(self._site, request, OPERATOR)
        whole: dict[str, Any] = {"set": [], "messages": None}
        await asyncio.gather(*(self._set(session, service, whole) for service in SERVICES), self._network.heal())
        if self._site.settings.providers == "sandbox":
            await self._set(session, PROVIDER, {})
        self._acts.add(HEAL, "everything", "healed")
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

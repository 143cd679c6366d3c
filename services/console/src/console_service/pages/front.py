"""The front page, and how people sign in, change the persona, and sign out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from console_service.examples import example
from console_service.sagas import of_example
from console_service.session import form_of
from console_service.site import Site, go
from console_service.upstream import Refused
from sagakit.sign_in import CODE_LENGTH
from sagakit.web.app import Problem

Code = Annotated[str, Query(max_length=CODE_LENGTH)]


def front_routes(site: Site) -> APIRouter:
    """The routes of the front page."""
    pages, router = Front(site), APIRouter(include_in_schema=False)
    router.add_api_route("/", pages.home, methods=["GET"])
    router.add_api_route("/sign-in", pages.ask_code, methods=["GET"])
    router.add_api_route("/sign-in", pages.sign_in, methods=["POST"])
    router.add_api_route("/sign-out", pages.sign_out, methods=["POST"])
    router.add_api_route("/persona", pages.change, methods=["POST"])
    router.add_api_route("/static/{name}", site.assets.answer, methods=["GET"])
    return router


class Front:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def home(self, request: Request) -> Response:
        """What this is, and where to begin."""
        session = self._site.sessions.of(request)
        recent: list[dict[str, Any]] = []
        if session.token:
            page = await self._site.upstream.maybe("order", "/orders", session.token, {"limit": "5"})
            recent = page["items"] if page else []
        picture = of_example(example(f"{self._site.mode.name}.completed")).svg(quiet=True, plain=True)
        return self._site.page(request, "home.html", session=session, recent=recent, picture=picture)

    async def ask_code(self, request: Request, code: Code = "") -> Response:
        """Ask for the one-time code; the code itself is spent by the button only, not by a preview of the link."""
        return self._site.page(request, "sign_in.html", code=code, error="")

    async def sign_in(self, request: Request) -> Response:
        """Exchange the code at the order service, and keep the tokens in the browser alone."""  # noqa: DOC501
        session = self._site.sessions.of(request)
        form = await form_of(request, type(session)())
        code = form.get("code", "").strip()
        try:
            answer = await self._site.upstream.ask("order", "POST", "/sign-in", body={"code": code})
        except Refused as refused:
            if refused.status not in (404, 422):
                raise
            error = "This code does not work: it was used before, it is too old, or it was copied in part."
            return self._site.page(request, "sign_in.html", session=session, status=403, code="", error=error)
        response = go("/")
        self._site.sessions.sign_in(response, request, answer["tokens"])
        return response

    async def sign_out(self, request: Request) -> Response:
        """Take the tokens from the browser."""
        await form_of(request, self._site.sessions.of(request))
        response = go("/")
        self._site.sessions.sign_out(response)
        return response

    async def change(self, request: Request) -> Response:
        """Be the other persona."""  # noqa: DOC501
        session = self._site.sessions.of(request)
        form = await form_of(request, session)
        if form.get("persona") not in session.tokens:
            raise Problem(403, "forbidden", "Sign in as that persona first.")
        back = form.get("back", "/")
        response = go(back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/")
        self._site.sessions.use(response, request, form["persona"])
        return response

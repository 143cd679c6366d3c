"""What all pages share: templates, who looks, the answer to a refusal, and the headers that protect a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console_service import words
from console_service.acts import Acts
from console_service.assets import Assets, packed_html
from console_service.protocol import ROLES, mode_view
from console_service.session import Session, Sessions, form_of
from console_service.upstream import Refused, Silent, Upstream
from sagakit.settings import Settings
from sagakit.web.app import Problem
from sagakit.web.errors import on_problem

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing from another host, and nothing inline: not even a script that got into a page would run."""

NAVIGATION: Final = (
    ("/shop", "Shop"),
    ("/orders", "Sagas"),
    ("/flow", "Flow"),
    ("/break", "Break it"),
    ("/compare", "Compare"),
    ("/learn", "Learn"),
)


class Site:
    """What a page needs: the services, the sessions, and the templates."""

    def __init__(self, settings: Settings, upstream: Upstream, sessions: Sessions) -> None:
        self.settings, self.upstream, self.sessions = settings, upstream, sessions
        self.mode = mode_view(settings.coordination_mode)
        self.assets, self.acts = Assets(), Acts()
        self._templates = Environment(
            loader=PackageLoader("console_service"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters |= {
            name: getattr(words, name) for name in ("duration", "money", "clock", "short", "pretty")
        } | {"ago": lambda at: words.ago(at, datetime.now(UTC))}
        self._templates.globals |= {
            "asset": self.assets.url,
            "navigation": NAVIGATION,
            "mode": self.mode,
            "roles": ROLES,
            "reasons": words.REASONS,
            "faulty": settings.fault_injection,
            "traced": bool(settings.trace_folder),
        }

    def fragment(self, template: str, **values: Any) -> str:
        """A template as text; everything that it shows is escaped."""
        return self._templates.get_template(template).render(**values)

    def page(
        self, request: Request, template: str, *, session: Session | None = None, status: int = 200, **values: Any
    ) -> Response:
        """A whole page."""
        session = session or self.sessions.of(request)
        text = self.fragment(template, session=session, path=request.url.path, **values)
        content, headers = packed_html(request, text)
        return Response(content, status, headers, "text/html; charset=utf-8")

    async def on_problem(self, request: Request, error: Exception) -> Response:
        """Show a problem as a page to a browser, and as a problem to all others."""
        problem = error if isinstance(error, Problem) else _as_problem(error)
        if not wants_html(request):
            return await on_problem(request, problem)
        return self.page(request, "problem.html", status=problem.status, problem=problem)


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, Refused):
        return Problem(error.status, "forbidden", f"{error.service}: {error.detail}")
    if isinstance(error, HTTPException):
        return Problem(error.status_code, "http_error", "There is no such page, or it cannot be asked like that.")
    if isinstance(error, Silent):
        return Problem(503, "unavailable", f"The {error.service} service does not answer. Is it running?")
    return Problem(500, "internal", "The console failed.")


def wants_html(request: Request) -> bool:
    """Whether a browser asks, which shows pages."""
    return "text/html" in request.headers.get("accept", "")


def go(path: str) -> Response:
    """Send the browser to another page, with GET."""
    return RedirectResponse(path, 303)


Handler = Callable[..., Awaitable[Response]]


class Protect:
    """Adds the content security policy to every answer, except that of the documentation, which has its own scripts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"].startswith("/docs"):
            await self._app(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(b"content-security-policy", POLICY.encode()), (b"cross-origin-opener-policy", b"same-origin")]
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        await self._app(scope, receive, protected)


async def form_by(site: Site, request: Request, persona: str) -> tuple[Session, dict[str, str]]:
    """Who looks, and the fields of a form that one of our pages sent, for an act that only this persona may do.

    Raises:
        Problem: The form comes from elsewhere, or somebody else looks.
    """
    session = site.sessions.of(request)
    form = await form_of(request, session)
    sign_in_needed(session, persona)
    return session, form


def sign_in_needed(session: Session, persona: str = "") -> None:
    """Check that somebody is signed in, or that persona is in use.

    Raises:
        Problem: Nobody is, or it is another.
    """
    if not session.token:
        raise Problem(401, "unauthenticated", "Sign in first: make console prints a link that works once.")
    if persona and session.persona != persona:
        raise Problem(403, "forbidden", f"Only the {persona} may do this. Change to the {persona} at the top.")


Values = Mapping[str, Any]

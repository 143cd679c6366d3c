"""Shortcuts: a second way through a route, without the framework, for requests that have nothing unusual about them.

Routing, dependencies and validation by the framework cost several times what placing an order does. A shortcut takes a
request only if it knows that its route would accept it; otherwise it returns None before it has changed anything, and
the route gets the request from its beginning. So a shortcut makes no refusals of its own: whatever is wrong with a
request, its route says so, and it alone is described in `/openapi.json`.

Guarantee: a shortcut sees only requests whose caller is known already, whose headers are there once, and whose body is
whole, declared as JSON and within the limit. A test compares the answers of both ways.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sagakit import telemetry
from sagakit.web.auth import Principal, Verifier
from sagakit.web.middleware import MAX_BODY
from sagakit.web.problems import Problem
from sagakit.web.streaming import ShutdownSignal

_BEARER: Final = b"Bearer "


class PlainRequest(NamedTuple):
    """A request that has nothing unusual about it; `headers` by their names in lower case.

    `receive` tells, after the body, that the client has disconnected.
    """

    headers: Mapping[bytes, bytes]
    body: bytes
    caller: Principal
    drain: ShutdownSignal
    receive: Receive


Shortcut = Callable[[PlainRequest], Awaitable[Response | None]]
"""Answers a request, or returns None if its route has to. A Problem that it raises is answered as such."""


class ShortcutRouter(APIRouter):
    """A router, some of whose routes have shortcuts; `Application.include_router` takes both."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcuts: dict[str, Shortcut] = {}

    def add_shortcut(self, path: str, shortcut: Shortcut) -> None:
        """Let the shortcut try each POST to this path, which has no parameters, before its route."""
        self.shortcuts[path] = shortcut


class Shortcuts:
    """Middleware that tries the shortcut of a request before everything further inside."""

    def __init__(
        self, app: ASGIApp, shortcuts: Mapping[str, Shortcut], verifier: Verifier, drain: ShutdownSignal
    ) -> None:
        self._app, self._shortcuts, self._verifier, self._drain = app, shortcuts, verifier, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        shortcut = self._shortcuts.get(scope["path"]) if scope.get("method") == "POST" else None
        if shortcut is None:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        caller = self._caller(headers) if len(headers) == len(scope["headers"]) else None
        if caller is None:
            await self._app(scope, receive, send)
            return
        scope["endpoint"] = shortcut
        scope.setdefault("state", {})["caller"] = caller  # as `sagakit.web.auth.require` does
        messages = await _whole_body(receive)
        if messages[-1]["type"] == "http.request" and not messages[-1].get("more_body"):
            body = b"".join(message.get("body", b"") for message in messages)
            telemetry.name_request("POST", scope["path"])
            response = await _answer(shortcut, PlainRequest(headers, body, caller, self._drain, receive))
            if response is not None:
                await response(scope, receive, send)
                return
        await self._app(scope, _replayed(messages, receive), send)

    def _caller(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """The caller, if its token was verified before and nothing in the head is unusual."""
        length = headers.get(b"content-length", b"")
        token = headers.get(b"authorization", b"")
        usual = (
            headers.get(b"content-type") == b"application/json"
            and length.isdigit()
            and int(length[:9]) <= MAX_BODY
            and b"expect" not in headers
            and b"content-encoding" not in headers
            and token.startswith(_BEARER)
        )
        return self._verifier.known(token[len(_BEARER) :]) if usual else None


async def _answer(shortcut: Shortcut, request: PlainRequest) -> Response | None:
    try:
        return await shortcut(request)
    except Problem as problem:
        return problem.response()


async def _whole_body(receive: Receive) -> list[Message]:
    """The messages of the request up to the end of its body, to the limit of a body, or to a disconnect."""
    messages, size, more = list[Message](), 0, True
    while more and size <= MAX_BODY:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    return messages


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    """`receive` from the beginning: a function that returns these messages once more, then what follows."""
    again = iter(messages)

    async def replay() -> Message:
        return next(again, None) or await receive()

    return replay

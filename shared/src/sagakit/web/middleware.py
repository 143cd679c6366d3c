"""The middleware around every request: limits, trace context, metrics, and an answer to every exception.

Guarantee: it is pure ASGI, so a client that disconnects cancels no handler. Every request is counted once, under its
route's template. An exception becomes a problem, never a dropped connection. A body beyond the limit is never read
whole.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sagakit.telemetry import Metrics, random_hex, request_id, request_traceparent, traceparent
from sagakit.web.auth import refusal
from sagakit.web.bodies import duplicate_key
from sagakit.web.errors import DuplicateKey, is_json
from sagakit.web.problems import NotFound, Problem, from_exception

log = logging.getLogger("sagakit.web.app")

MAX_BODY: Final = 64 * 1024
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID: Final = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_ENCODED: Final = "Content-Encoding: send the body without it; it is read as it is."
_QUIET: Final = ("/health", "/metrics")
_SECURITY: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]


class Observe:
    """Outermost: request id, trace context, metrics, access log (DEBUG), headers, the answer to an exception."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent_id, parent = _trace_headers(scope)
        ident = sent_id if _REQUEST_ID.fullmatch(sent_id) else random_hex(16)
        tokens = request_id.set(ident), traceparent.set(request_traceparent(parent))
        added = [*_SECURITY, (b"x-request-id", ident.encode())]
        status, started = 0, time.perf_counter()

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = message.get("headers", ())
                cache = [] if any(k.lower() == b"cache-control" for k, _ in own) else [(b"cache-control", b"no-store")]
                message = {**message, "headers": [*own, *added, *cache]}
            await send(message)

        self._metrics.http_in_flight.inc()
        try:
            await self._answer(scope, receive, observed, lambda: status)
        finally:
            self._metrics.http_in_flight.dec()
            self._record(scope, status, time.perf_counter() - started)
            request_id.reset(tokens[0])
            traceparent.reset(tokens[1])

    async def _answer(self, scope: Scope, receive: Receive, send: Send, status: Callable[[], int]) -> None:
        try:
            if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
                await NotFound().response()(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except ClientDisconnect:
            return  # before its request was whole: there is nobody to answer
        except Exception as error:
            problem = from_exception(error)
            level = logging.WARNING if problem.status == 503 else logging.ERROR
            log.log(level, "request failed", exc_info=error, extra={"route": route_template(scope)})
            if status():
                raise
            await problem.response()(scope, receive, send)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = route_template(scope)
        counters = self._counters.get((method, route, status))
        if counters is None:
            counters = self._counters[method, route, status] = (
                self._metrics.http_requests.labels(method, route, str(status or 499)),
                self._metrics.http_seconds.labels(method, route),
            )
        counters[0].inc()
        counters[1].observe(seconds)
        if log.isEnabledFor(logging.DEBUG) and not route.startswith(_QUIET):
            extra = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2)}
            log.debug("%s %s", method, route, extra=extra)


class LimitBody:
    """Refuses bodies over `limit` bytes with 413: by the declared length, or as the bytes arrive.

    A compressed body is refused with 415: its length would say nothing about what it becomes. A JSON body with a
    duplicate key is refused too, once it has arrived: readers differ about which value counts.
    """

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        detail = f"The body may have {self._limit} bytes at most."
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:18]) > self._limit:
            refused = await refusal(Request(scope))
            problem = refused or Problem(413, "body_too_large", detail)
            problem.headers["Connection"] = "close"
            await problem.response()(scope, receive, send)
            return
        parts: list[bytes] = []
        received, checked = 0, is_json(headers)
        encoded = headers.get("content-encoding", "identity").strip().lower() != "identity"

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            part = message.get("body", b"")
            received += len(part)
            if received > self._limit:
                raise HTTPException(413, detail, headers={"Connection": "close"})
            if encoded and part:
                raise HTTPException(415, _ENCODED, headers={"Accept-Encoding": "identity"})
            if checked and message["type"] == "http.request":
                parts.append(part)
                if not message.get("more_body", False) and (field := duplicate_key(b"".join(parts))):
                    raise DuplicateKey(field)
            return message

        await self._app(scope, limited, send)


class Head:
    """Answers HEAD like GET, without the body; a stream ends at once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        inner = {**scope, "method": "GET"}
        answered = asyncio.Event()

        async def until_answered() -> Message:
            message = asyncio.ensure_future(receive())
            answer = asyncio.ensure_future(answered.wait())
            try:
                await asyncio.wait({message, answer}, return_when=asyncio.FIRST_COMPLETED)
                return message.result() if message.done() and not answered.is_set() else {"type": "http.disconnect"}
            finally:
                message.cancel()
                answer.cancel()

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                answered.set()

        try:
            await self._app(inner, until_answered, without_body)
        finally:
            scope.update({key: inner[key] for key in ("endpoint", "path_params", "route", "state") if key in inner})


def _trace_headers(scope: Scope) -> tuple[str, str | None]:
    """The first `X-Request-ID`, or an empty text, and the first `traceparent`, or None."""
    ident, parent = "", None
    for name, value in reversed(scope["headers"]):
        if name == b"x-request-id":
            ident = value.decode("latin-1")
        elif name == b"traceparent":
            parent = value.decode("latin-1")
    return ident, parent


def route_template(scope: Scope) -> str:
    """The path with its parameters replaced by their names, or `unmatched`: a label of bounded cardinality."""
    if "endpoint" not in scope:
        return "unmatched"
    path: str = scope["path"]
    for name, value in reversed(scope.get("path_params", {}).items()):
        head, separator, tail = path.rpartition(f"/{value}")
        path = f"{head}/{{{name}}}{tail}" if separator else path
    return path

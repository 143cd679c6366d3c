"""HTTP/1.1 on one connection, bounded before anybody has shown a token.

uvicorn's protocol over httptools takes whatever comes: a head without end, any number of requests whose answers
nobody reads, half a request for ever, and it mistakes the body of a request that offers an upgrade for a second
request. This one hands the parser one whole head at a time, and nothing beyond a request while too many wait.

Guarantee: of a client that has not authenticated, at most HTTP_HEADER_MAX bytes of head, HTTP_PIPELINE_MAX requests
and one read of the socket are kept; a head, a body and the reading of an answer have their time; answers come in
the order of the requests, refusals too; what follows a refused or last request is not executed.
"""

from __future__ import annotations

import asyncio
import re
from math import inf
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from sagakit.web.answers import Flow, UntilClose
from sagakit.web.connections import Connections
from sagakit.web.framing import HeadTooLong, Splitter, without_upgrade
from sagakit.web.problems import Problem

_HOST: Final = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]+")
_LINGER_BYTES: Final = 4 * 1024 * 1024  # and this much may still come meanwhile
_LINGER: Final = 2.0  # seconds in which a client that is told to go can read why
_FAREWELL: Final = 1.0  # seconds that a client which does not read its answer has when the process stops


class BoundedProtocol(HttpToolsProtocol):
    """One connection; `connections` are all of this process."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all, self._limits = connections, connections.settings
        self.deadline, self.stall, self.unfinished = inf, inf, 0
        self._known = False
        self._pieces = Splitter(self._limits.http_header_max, self._limits.http_headers_max)
        self._held, self._at = b"", 0
        self._running: RequestResponseCycle | None = None
        self._body = False  # between the end of a head and the end of its body
        self._deaf = False  # nothing that comes now is part of a request
        self._chunked, self._length, self._received, self._dropped = False, 0, 0, 0
        self._hosts: list[bytes] = []
        self._out: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport, self.take_held)
        self._out = SimpleNamespace(write=transport.write, is_closing=transport.is_closing, close=self._finish)
        self.deadline = self.loop.time() + self._limits.http_head_timeout
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        self._deaf, self._held = True, b""
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None:
                cycle.disconnected = not cycle.response_complete
                cycle.message_event.set()
        super().connection_lost(exc)
        # Reference counting frees what is in no circle, at once; a full collection is rare in this process.
        self.pipeline.clear()
        self._running = self.cycle = self.scope = self._out = self.flow = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._dropped += len(data)
            if self._dropped > _LINGER_BYTES:
                self.drop()
            return
        self._all.stirred(self)
        if self._held:
            self._held, self._at = self._held[self._at :] + data, 0
        else:
            self._take(data, 0)

    def take_held(self) -> None:
        """Go on with what was received and not yet looked at."""
        if self._held:
            data, at, self._held = self._held, self._at, b""
            self._take(data, at)

    def _take(self, data: bytes, at: int) -> None:
        try:
            while at < len(data) and not self._deaf:
                full = len(self.pipeline) + (self._running is not None) >= self._limits.http_pipeline_max
                if self.flow.read_paused if self._body else full:
                    self._held, self._at = data, at
                    self.flow.pause_reading()
                    break
                at = self._take_body(data, at) if self._body else self._take_head(data, at)
        except httptools.HttpParserUpgrade:
            self._refuse(405, "method_not_allowed", "CONNECT is not offered here.")
        except httptools.HttpParserError:
            self._refuse(400, "bad_request", "This is not HTTP/1.1.")
        except HeadTooLong:
            limits = f"{self._limits.http_header_max} bytes and {self._limits.http_headers_max} lines"
            self._refuse(431, "header_too_large", f"The header, and trailers too, may have {limits} at most.")
        if self._body or self._held or self._pieces.size or self.unfinished:
            self._account()

    def _account(self) -> None:
        unread = self.transport.get_write_buffer_size() if self.stall < inf else 0
        self._all.keeps(self, self._pieces.size + len(self._held) + unread + (self._received if self._body else 0))

    def _take_head(self, data: bytes, at: int) -> int:
        fresh = not self._pieces.size
        head, at = self._pieces.head(data, at)
        if head == b"\r\n\r\n":
            raise httptools.HttpParserError("empty lines are no request")
        if head:
            self.parser.feed_data(without_upgrade(head))
        elif fresh:
            self.deadline = self.loop.time() + self._limits.http_head_timeout
        return at

    def _take_body(self, data: bytes, at: int) -> int:
        piece, at = self._pieces.body(data, at)
        self._received += len(piece)
        self.parser.feed_data(piece)
        return at

    # What the parser calls.
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._hosts, self._chunked, self._length = [], False, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._body:
            return  # a trailer: the request is under way with the header that it had
        super().on_header(name, value)
        name = self.headers[-1][0]
        if name == b"content-length":
            self._length = int(value)
        elif name == b"host":
            self._hosts.append(value)
        elif name == b"transfer-encoding":
            self._chunked = True

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # CONNECT: the parser gives up next
        version, scope = self.parser.get_http_version(), self.scope
        if version not in ("1.0", "1.1"):
            self._refuse(505, "version_not_supported", "HTTP/1.1 is spoken here.")
            return
        if len(self._hosts) > 1 or (version == "1.1" and not self._hosts) or not all(map(_HOST.fullmatch, self._hosts)):
            self._refuse(400, "bad_request", "Host: send this header, once, with the name of this server.")
            return
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["method"], scope["http_version"] = self.parser.get_method().decode("ascii"), version
        scope["path"], scope["raw_path"] = unquote(path) if "%" in path else path, url.path
        scope["query_string"] = url.query or b""
        kind = RequestResponseCycle if version == "1.1" else UntilClose
        self.cycle = self._cycle(kind, version == "1.1" and self.parser.should_keep_alive())
        self._body, self._received = True, 0
        self._pieces.begin(self._length, chunked=self._chunked)
        self.deadline = self.loop.time() + self._limits.http_body_timeout
        self._enqueue(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        self._pieces.fruitful()
        if not self._deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._body and not self._deaf:
            self._body = False
            self._deaf = not self.cycle.keep_alive
            self.deadline = inf
            super().on_message_complete()
            if self._running is None:
                self._rest()

    # What the answers do.
    def _cycle(self, kind: type[RequestResponseCycle], keep_alive: bool) -> RequestResponseCycle:
        return kind(
            scope=self.scope,
            transport=self._out,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )

    def _enqueue(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._running is None:
            self._running = cycle
            self._start_asgi_task(cycle, app)
        else:
            self.pipeline.appendleft((cycle, app))

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if not self._known and self.authenticated():
            self._known = True
            self._all.recognized(self)
        self._running = None
        if self.transport.is_closing() or (self._deaf and not self.pipeline):
            return
        if self.pipeline:
            self._enqueue(*self.pipeline.pop())
        elif not self._body and not self._pieces.size:
            self._rest()
        self.flow.resume_reading()

    def _rest(self) -> None:
        if not self._deaf:
            self.deadline = self.loop.time() + self.timeout_keep_alive

    def pause_writing(self) -> None:
        self.stall = self.loop.time() + self._limits.http_body_timeout
        super().pause_writing()
        self._account()

    def resume_writing(self) -> None:
        self.stall = inf
        super().resume_writing()
        self._account()

    # How it ends.
    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer in the place of the request that is being received, after those before it; take no more."""
        self._forget()
        if self._body and self.cycle.response_started:
            self._abandon()
            self._finish()
            return
        if not self._body:
            self._all.refused(status)
        self._abandon()
        self.scope = {"type": "http", "method": "GET", "http_version": "1.1", "path": "", "state": {}}  # type: ignore[typeddict-item]
        refusal = Problem(status, code, detail, headers={"Connection": "close"}).response()
        self.cycle = self._cycle(RequestResponseCycle, False)
        self._body = True  # the client may be sending: it is to be able to read this
        self.deadline = inf
        self._enqueue(self.cycle, refusal)

    def _forget(self) -> None:
        self._deaf, self._held = True, b""
        self._pieces.clear()
        self._received = 0

    def _abandon(self) -> None:
        """Tell the handler of a request whose body will not come that its client has gone."""
        if not self._body:
            return
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self._running is self.cycle:
            self._running = None
        elif self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()

    def _finish(self) -> None:
        """Close; where the client may still be sending, only once it had the time to read its answer."""
        self.deadline = self.loop.time() + _LINGER
        if self._body and not self.transport.is_closing():
            self._forget()
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def authenticated(self) -> bool:
        """Whether any request on this connection showed a valid token."""
        return self._known or (self._running is not None and "caller" in self._running.scope.get("state", ()))

    def idle(self) -> bool:
        """Whether no request is under way."""
        return self._running is None

    def drop(self) -> None:
        """End it now, without a word."""
        self.transport.abort()

    def expire(self) -> None:
        """Its time is up: for the head or the body of a request (408), for reading an answer, or for the next one."""
        late = self.deadline <= self.loop.time()
        if not late or self._deaf or not (self._body or self._pieces.size):
            self.drop()
        else:
            part = "body" if self._body else "header"
            self._refuse(408, "request_timeout", f"The {part} of the request did not come in time.")

    def shutdown(self) -> None:
        """Let what is whole be answered; close at once what is idle or waits for the rest of a request."""
        self._forget()
        if self.flow.write_paused:
            self.stall = self.loop.time() + _FAREWELL
        if self._body and not self.cycle.response_started:
            self._abandon()
        self._body = False
        if self._running is None:
            self.transport.close()
        else:
            last = self.pipeline[0][0] if self.pipeline else self._running
            last.keep_alive = False

"""The answers of one connection: in the order of the requests, each with its time, and how the connection ends.

Guarantee: answers come in the order of the requests, refusals too; after a refused or a last request nothing more is
executed; a client that does not read its answer, or does not send the next request, is disconnected in time.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any, Final

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from sagakit.web.connections import Connections
from sagakit.web.framing import Splitter
from sagakit.web.problems import Problem

_LINGER: Final = 2.0  # seconds in which a client that is still sending can read why it is refused
_FAREWELL: Final = 1.0  # seconds that a client which does not read its answer has when the process stops


class OrderedAnswers(HttpToolsProtocol):
    """The answering half of a connection; `sagakit.web.protocol` receives. `connections` are all of this process."""

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
        self._connections, self._limits = connections, connections.settings
        self.deadline, self.stall, self.unfinished = inf, inf, 0
        self._recognized = False
        self._splitter = Splitter(self._limits.http_header_max, self._limits.http_headers_max)
        self._unparsed = b""
        self._running: RequestResponseCycle | None = None
        self._in_body = False  # between the end of a head and the end of its body
        self._ignoring = False  # whatever the client sends from now on is dropped
        self._received = 0
        self._out: Any = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the handlers of all unfinished requests that their client has gone."""
        self._connections.discard(self)
        self._ignoring, self._unparsed = True, b""
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None:
                cycle.disconnected = not cycle.response_complete
                cycle.message_event.set()
        super().connection_lost(exc)
        # Without cycles, reference counting frees the connection now; a full collection is rare in this process.
        self.pipeline.clear()
        self._running = self.cycle = self.scope = self._out = self.flow = None  # type: ignore[assignment]

    def _account(self) -> None:
        unread = self.transport.get_write_buffer_size() if self.stall < inf else 0
        self._connections.account(
            self, self._splitter.size + len(self._unparsed) + unread + (self._received if self._in_body else 0)
        )

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
        """Start the handler of the next request that waits."""
        self.server_state.total_requests += 1
        if not self._recognized and self.authenticated():
            self._recognized = True
            self._connections.recognized(self)
        self._running = None
        if self.transport.is_closing() or (self._ignoring and not self.pipeline):
            return
        if self.pipeline:
            self._enqueue(*self.pipeline.pop())
        elif not self._in_body and not self._splitter.size:
            self._await_request()
        self.flow.resume_reading()

    def _await_request(self) -> None:
        if not self._ignoring:
            self.deadline = self.loop.time() + self.timeout_keep_alive

    def pause_writing(self) -> None:
        """The client does not read: from now on its answer has HTTP_BODY_TIMEOUT."""
        self.stall = self.loop.time() + self._limits.http_body_timeout
        super().pause_writing()
        self._account()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.stall = inf
        super().resume_writing()
        self._account()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer the request that is being received with a problem, in its turn; accept no more requests."""
        self._ignore_input()
        if self._in_body and self.cycle.response_started:
            self._abandon()
            self._finish()
            return
        if not self._in_body:
            self._connections.refused(status)
        self._abandon()
        self.scope = {
            "type": "http",
            "method": "GET",
            "http_version": "1.1",
            "path": "",
            "query_string": b"",
            "state": {},
        }  # type: ignore[typeddict-item]
        refusal = Problem(status, code, detail, headers={"Connection": "close"}).response()
        self.cycle = self._cycle(RequestResponseCycle, False)
        self._in_body = True  # the client may still be sending: see `_finish`
        self.deadline = inf
        self._enqueue(self.cycle, refusal)

    def _ignore_input(self) -> None:
        self._ignoring, self._unparsed = True, b""
        self._splitter.clear()
        self._received = 0

    def _abandon(self) -> None:
        """Tell the handler of a request whose body will not come that its client has gone."""
        if not self._in_body:
            return
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self._running is self.cycle:
            self._running = None
        elif self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()

    def _finish(self) -> None:
        """Close; if the client may still be sending, only after it had `_LINGER` seconds to read its answer."""
        self.deadline = self.loop.time() + _LINGER
        if self._in_body and not self.transport.is_closing():
            self._ignore_input()
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def authenticated(self) -> bool:
        """Whether any request on this connection carried a valid token."""
        return self._recognized or (self._running is not None and "caller" in self._running.scope.get("state", ()))

    def idle(self) -> bool:
        """Whether no request is under way."""
        return self._running is None

    def drop(self) -> None:
        """Close now, without an answer."""
        self.transport.abort()

    def expire(self) -> None:
        """End the connection at its deadline: 408 for a head or body that is late, else without an answer."""
        late = self.deadline <= self.loop.time()
        if not late or self._ignoring or not (self._in_body or self._splitter.size):
            self.drop()
        else:
            part = "body" if self._in_body else "header"
            self._refuse(408, "request_timeout", f"The {part} of the request did not come in time.")

    def shutdown(self) -> None:
        """Answer the requests that are whole, then close; close at once if there are none."""
        self._ignore_input()
        if self.flow.write_paused:
            self.stall = self.loop.time() + _FAREWELL
        if self._in_body and not self.cycle.response_started:
            self._abandon()
        self._in_body = False
        if self._running is None:
            self.transport.close()
        else:
            last = self.pipeline[0][0] if self.pipeline else self._running
            last.keep_alive = False

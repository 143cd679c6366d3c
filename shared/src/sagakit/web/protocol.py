"""HTTP/1.1 on one connection, bounded before the client has shown a token.

uvicorn's protocol over httptools accepts a head without end, any number of requests whose answers nobody reads, and
half a request for ever; and it mistakes the body of a request that offers an upgrade for a second request. This one
hands the parser one whole head at a time, and nothing beyond a request while too many wait.

Guarantee: of a client that has not authenticated, at most HTTP_HEADER_MAX bytes of head, HTTP_PIPELINE_MAX requests
and one read of the socket are kept; a head and a body have their time. `sagakit.web.pipeline` guarantees the answers.
"""

from __future__ import annotations

import asyncio
import re
from math import inf
from types import SimpleNamespace
from typing import Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from sagakit.web.answers import Flow, UntilClose
from sagakit.web.framing import HeadTooLong, without_upgrade
from sagakit.web.pipeline import OrderedAnswers

_HOST: Final = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]+")
_LINGER_BYTES: Final = 4 * 1024 * 1024  # bytes that a client may still send while it reads why it is refused


class BoundedProtocol(OrderedAnswers):
    """One connection: its receiving half."""

    _at = 0  # where in `_unparsed` to go on
    _dropped = 0  # bytes received since the input is ignored
    _chunked, _length = False, 0  # of the body of the current request
    _hosts: list[bytes]  # its Host headers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection, and start the time for its first head."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.resume_parsing)
        self._out = SimpleNamespace(write=transport.write, is_closing=transport.is_closing, close=self._finish)
        self.deadline = self.loop.time() + self._limits.http_head_timeout
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes, or keep them while too many requests wait."""
        if self._ignoring:
            self._dropped += len(data)
            if self._dropped > _LINGER_BYTES:
                self.drop()
            return
        self._connections.active(self)
        if self._unparsed:
            self._unparsed, self._at = self._unparsed[self._at :] + data, 0
        else:
            self._take(data, 0)

    def resume_parsing(self) -> None:
        """Parse what was kept."""
        if self._unparsed:
            data, at, self._unparsed = self._unparsed, self._at, b""
            self._take(data, at)

    def _take(self, data: bytes, at: int) -> None:
        try:
            while at < len(data) and not self._ignoring:
                full = len(self.pipeline) + (self._running is not None) >= self._limits.http_pipeline_max
                if self.flow.read_paused if self._in_body else full:
                    self._unparsed, self._at = data, at
                    self.flow.pause_reading()
                    break
                at = self._take_body(data, at) if self._in_body else self._take_head(data, at)
        except httptools.HttpParserUpgrade:
            self._refuse(405, "method_not_allowed", "CONNECT is not offered here.")
        except httptools.HttpParserError:
            self._refuse(400, "bad_request", "This is not HTTP/1.1.")
        except HeadTooLong:
            limits = f"{self._limits.http_header_max} bytes and {self._limits.http_headers_max} lines"
            self._refuse(431, "header_too_large", f"The header, and trailers too, may have {limits} at most.")
        if self._in_body or self._unparsed or self._splitter.size or self.unfinished:
            self._account()

    def _take_head(self, data: bytes, at: int) -> int:
        fresh = not self._splitter.size
        head, at = self._splitter.head(data, at)
        if head == b"\r\n\r\n":
            raise httptools.HttpParserError("empty lines are no request")
        if head:
            self.parser.feed_data(without_upgrade(head))
        elif fresh:
            self.deadline = self.loop.time() + self._limits.http_head_timeout
        return at

    def _take_body(self, data: bytes, at: int) -> int:
        piece, at = self._splitter.body(data, at)
        self._received += len(piece)
        self.parser.feed_data(piece)
        return at

    def on_message_begin(self) -> None:
        """A head begins: the parser calls this and the following methods."""
        super().on_message_begin()
        self._hosts, self._chunked, self._length = [], False, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the headers that frame the body, and Host."""
        if self._in_body:
            return  # a trailer: the handler has the headers already
        super().on_header(name, value)
        name = self.headers[-1][0]
        if name == b"content-length":
            self._length = int(value)
        elif name == b"host":
            self._hosts.append(value)
        elif name == b"transfer-encoding":
            self._chunked = True

    def on_headers_complete(self) -> None:
        """Check the head, and start its handler or put it in the queue."""
        if self.parser.should_upgrade():
            return  # CONNECT: the parser raises HttpParserUpgrade next
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
        self._in_body, self._received = True, 0
        self._splitter.begin(self._length, chunked=self._chunked)
        self.deadline = self.loop.time() + self._limits.http_body_timeout
        self._enqueue(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body to the handler."""
        self._splitter.had_data()
        if not self._ignoring:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._in_body and not self._ignoring:
            self._in_body = False
            self._ignoring = not self.cycle.keep_alive
            self.deadline = inf
            super().on_message_complete()
            if self._running is None:
                self._await_request()

"""Two changes to how uvicorn sends a response: its flow control, and the response to an HTTP/1.0 client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Flow(FlowControl):
    """Flow control that parses the bytes which the protocol has kept before it reads the socket again."""

    def __init__(self, transport: asyncio.Transport, resume_parsing: Callable[[], None]) -> None:
        super().__init__(transport)
        self._resume_parsing = resume_parsing

    def resume_reading(self) -> None:
        """Parse what was kept; read the socket again if that did not pause reading."""
        if self.read_paused and not self._transport.is_closing():
            self.read_paused = False
            self._resume_parsing()
            if not self.read_paused:
                self._transport.resume_reading()


class UntilClose(RequestResponseCycle):
    """The response to an HTTP/1.0 client: of declared length, or until the connection closes; never chunked."""

    _undeclared = False

    async def send(self, message: Any) -> None:
        """Send an ASGI message."""
        if message["type"] == "http.response.start":
            self._undeclared = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            if self._undeclared:
                self.chunked_encoding = False  # with None uvicorn would choose chunks
        elif self._undeclared:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)

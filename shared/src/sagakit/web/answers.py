"""How uvicorn sends an answer, where that has to be another way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Flow(FlowControl):
    """Flow control that gives what the protocol holds back before it asks the socket for more."""

    def __init__(self, transport: asyncio.Transport, more: Callable[[], None]) -> None:
        super().__init__(transport)
        self._more = more

    def resume_reading(self) -> None:
        if self.read_paused and not self._transport.is_closing():
            self.read_paused = False
            self._more()
            if not self.read_paused:
                self._transport.resume_reading()


class UntilClose(RequestResponseCycle):
    """The answer to an HTTP/1.0 client: of declared length, or up to the end of the connection; never chunks."""

    _undeclared = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._undeclared = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            if self._undeclared:
                self.chunked_encoding = False  # None is where uvicorn chooses chunks
        elif self._undeclared:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)

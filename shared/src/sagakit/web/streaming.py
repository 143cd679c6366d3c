"""Long-lived responses: server-sent events, and waits that end when the process stops.

Guarantee: a stream ends, and its source is closed, when the source is exhausted, the client disconnects, or the
process drains. A wait never exceeds its timeout, never delays a graceful stop, and ends when its client disconnects.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

HEARTBEAT: Final = 15.0  # seconds
T = TypeVar("T")


class ShutdownSignal:
    """Signals, once, that the process is stopping."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._limits: set[asyncio.Timeout] = set()

    @property
    def started(self) -> bool:
        """Whether the process is stopping."""
        return self._event.is_set()

    def start(self) -> None:
        """Send the signal: release everything that waits for it."""
        self._event.set()
        for limit in self._limits:
            _end(limit)

    async def wait(self) -> None:
        """Wait until the process is stopping."""
        await self._event.wait()

    async def race(self, awaitable: Awaitable[T], seconds: float, receive: Receive | None = None) -> T | None:
        """Return the result, or None if `seconds` pass, the process stops or the client disconnects first.

        `receive` is that of a request whose body has been read; without it, a client that disconnects is not noticed.
        A coroutine that is not done by then is cancelled; a future or task belongs to the caller and goes on. What it
        raises is raised, TimeoutError too.
        """  # noqa: DOC501
        if not inspect.iscoroutine(awaitable):
            awaitable = asyncio.shield(awaitable)
        limit = asyncio.timeout(0 if self.started else seconds)
        gone = asyncio.ensure_future(_end_when_gone(limit, receive)) if receive is not None else None
        try:
            async with limit:
                self._limits.add(limit)
                return await awaitable
        except TimeoutError:
            if limit.expired():
                return None
            raise
        finally:
            self._limits.discard(limit)
            if gone is not None:
                gone.cancel()


@dataclass(frozen=True)
class ServerSentEvent:
    """One event; `data` is encoded as JSON."""

    data: Any
    event: str = ""
    id: str = ""

    def encode(self) -> bytes:
        """Encode the event as `text/event-stream`."""
        lines = [f"{key}: {value}" for key, value in (("id", self.id), ("event", self.event)) if value]
        return "\n".join([*lines, f"data: {msgspec.json.encode(self.data).decode()}", "", ""]).encode()


@dataclass(frozen=True)
class EventGroup:
    """Events that are sent together: each part of an answer costs as much as making several events."""

    events: Sequence[ServerSentEvent]

    def encode(self) -> bytes:
        """Encode the events as `text/event-stream`."""
        return b"".join(event.encode() for event in self.events)


class EventStream(Response):
    """Streams `source` as `text/event-stream`, with a comment after every `heartbeat` seconds without an event.

    `closed` is called when the stream has ended, for whatever reason.
    """

    def __init__(
        self,
        source: AsyncIterator[ServerSentEvent | EventGroup],
        drain: ShutdownSignal,
        *,
        heartbeat: float = HEARTBEAT,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(None, 200, headers, "text/event-stream")
        del self.headers["content-length"]
        self._source, self._drain, self._heartbeat = source, drain, heartbeat
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the source ends, the client disconnects or the process drains."""
        try:
            await self._stream(receive, send)
        finally:
            self._closed()

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
        gone = asyncio.ensure_future(disconnected(receive))
        stopping = asyncio.ensure_future(self._drain.wait())
        upcoming = asyncio.ensure_future(_next(self._source))
        try:
            while not (gone.done() or stopping.done()):
                await asyncio.wait(
                    {gone, stopping, upcoming}, timeout=self._heartbeat, return_when=asyncio.FIRST_COMPLETED
                )
                chunk = b": still here\n\n"
                if upcoming.done():
                    event = upcoming.result()
                    if event is None:
                        break
                    chunk = event.encode()
                    upcoming = asyncio.ensure_future(_next(self._source))
                elif gone.done() or stopping.done():
                    break
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            for task in (gone, stopping, upcoming):
                await _cancel(task)
            if isinstance(self._source, AsyncGenerator):
                await self._source.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _next(source: AsyncIterator[ServerSentEvent | EventGroup]) -> ServerSentEvent | EventGroup | None:
    return await anext(source, None)


async def disconnected(receive: Receive) -> bool:
    """Wait until the client disconnects, and return True."""
    while (await receive())["type"] != "http.disconnect":
        pass
    return True


async def _end_when_gone(limit: asyncio.Timeout, receive: Receive) -> None:
    await disconnected(receive)
    _end(limit)


def _end(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())


async def _cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()

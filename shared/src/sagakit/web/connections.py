"""All connections of a process: how many there may be, how much memory they may take, and their deadlines.

Guarantee: no new client is refused. At HTTP_CONNECTIONS_MAX the connection that has been idle longest is closed,
first those that have not authenticated; one with an authenticated request under way is never closed. The unfinished
requests and unread answers of clients that have not authenticated are bounded by HTTP_UNFINISHED_MAX bytes in total.
One timer per process checks all deadlines, so that receiving a byte sets no timer; a check is late by a tick at most.
"""

from __future__ import annotations

import asyncio
import ctypes
from itertools import chain
from typing import Final, Protocol

from sagakit.settings import Settings
from sagakit.telemetry import Metrics

_TICK: Final = 1.0
_TRIM_AFTER: Final = 500  # connections that have ended since memory was last returned


def _trim_memory() -> None:
    """Return freed memory, which glibc keeps, to the system: 100 MB after 4,000 connections, in 20 ms."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Connection(Protocol):
    """One connection, as the process sees it; `deadline` and `stall` (for reading an answer) are in the loop's time.

    `unfinished`: bytes kept of a request that is not whole and of answers that the client does not read.
    """

    deadline: float
    stall: float
    unfinished: int

    def authenticated(self) -> bool:
        """Whether any of its requests carried a valid token."""

    def idle(self) -> bool:
        """Whether no request is under way."""

    def expire(self) -> None:
        """End it at its deadline."""

    def drop(self) -> None:
        """Close it now, without an answer."""


class Connections:
    """The open connections, longest idle first, in two queues: anonymous ones, and those that have authenticated."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self._metrics = settings, metrics
        self._unfinished, self._ended = 0, 0
        self._anonymous: dict[Connection, None] = {}
        self._authenticated: dict[Connection, None] = {}
        self._tick = min(_TICK, settings.http_head_timeout / 4, settings.http_body_timeout / 4)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._anonymous) + len(self._authenticated)

    def add(self, connection: Connection) -> None:
        """Admit a new connection; close an idle one if there are too many."""
        if len(self) >= self.settings.http_connections_max:
            self._evict()
        self._anonymous[connection] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick, self._check_deadlines)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        if connection in self._anonymous or connection in self._authenticated:
            self._ended += 1
            self.account(connection, 0)
        self._anonymous.pop(connection, None)
        self._authenticated.pop(connection, None)

    def account(self, connection: Connection, unfinished: int) -> None:
        """Record how many bytes the connection keeps; while all keep too many, close the one that is idle longest."""
        self._unfinished += unfinished - connection.unfinished
        connection.unfinished = unfinished
        while self._unfinished > self.settings.http_unfinished_max:
            idlest = next((other for other in self._anonymous if other.unfinished and not other.authenticated()), None)
            if idlest is None:
                return
            self.discard(idlest)
            idlest.drop()

    def active(self, connection: Connection) -> None:
        """Record that the connection has received something: it is the least idle one now."""
        queue = self._anonymous if connection in self._anonymous else self._authenticated
        queue.pop(connection, None)
        queue[connection] = None

    def recognized(self, connection: Connection) -> None:
        """Record that the connection has authenticated a request."""
        if self._anonymous.pop(connection, connection) is None:
            self._authenticated[connection] = None

    def refused(self, status: int) -> None:
        """Count a request that was refused before any route matched."""
        self._metrics.http_requests.labels("OTHER", "refused", str(status)).inc()

    def _evict(self) -> None:
        for connection in list(self._anonymous):
            if not connection.authenticated():
                break
            self.recognized(connection)
        else:
            idle = next((known for known in self._authenticated if known.idle()), None)
            if idle is None:
                return
            connection = idle
        self.discard(connection)
        connection.drop()

    def _check_deadlines(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        everyone = chain(self._anonymous, self._authenticated)
        for connection in [each for each in everyone if each.deadline <= now or each.stall <= now]:
            connection.expire()
        if self._ended >= _TRIM_AFTER:
            self._ended = 0
            loop.run_in_executor(None, _trim_memory)
        self._timer = loop.call_later(self._tick, self._check_deadlines) if len(self) else None

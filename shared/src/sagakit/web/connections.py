"""All connections of a process together: how many there may be, and when one has used up its time.

Guarantee: no new client is refused. At `HTTP_CONNECTIONS_MAX` the connection that has been idle longest is closed,
one that has not authenticated any request before all others; one with an authenticated request under way never.
What clients that have not authenticated have begun and not finished, all together, is bounded by HTTP_UNFINISHED_MAX.
One timer per process looks at all deadlines, so that a byte costs no timer; a deadline is late by a tick at most.
"""

from __future__ import annotations

import asyncio
import ctypes
from itertools import chain
from typing import Final, Protocol

from sagakit.settings import Settings
from sagakit.telemetry import Metrics

_TICK: Final = 1.0
_MANY: Final = 500  # connections that have ended since memory was last given back


def _give_back() -> None:
    """Return freed memory to the system, which glibc keeps: 4,000 connections left 100 MB behind, and took 20 ms."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Connection(Protocol):
    """What the process needs to know of one connection; `deadline` and `stall` are in the loop's time.

    `unfinished` is how many bytes are kept of what it began to send and of answers that it does not read.
    """

    deadline: float
    stall: float
    unfinished: int

    def authenticated(self) -> bool:
        """Whether any of its requests showed a valid token."""

    def idle(self) -> bool:
        """Whether no request is under way."""

    def expire(self) -> None:
        """End it: its time is up."""

    def drop(self) -> None:
        """End it now, without a word."""


class Connections:
    """The open connections, longest idle first, in two queues: strangers, and those that have authenticated."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self._metrics = settings, metrics
        self._unfinished, self._ended = 0, 0
        self._strangers: dict[Connection, None] = {}
        self._known: dict[Connection, None] = {}
        self._tick = min(_TICK, settings.http_head_timeout / 4, settings.http_body_timeout / 4)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    def add(self, connection: Connection) -> None:
        """Admit a new connection, in the place of an idle one if there are too many."""
        if len(self) >= self.settings.http_connections_max:
            self._evict()
        self._strangers[connection] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick, self._look)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        if connection in self._strangers or connection in self._known:
            self._ended += 1
            self.keeps(connection, 0)
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)

    def keeps(self, connection: Connection, unfinished: int) -> None:
        """The connection keeps so many bytes now; if all keep too many, those that have been idle longest are cut."""
        self._unfinished += unfinished - connection.unfinished
        connection.unfinished = unfinished
        while self._unfinished > self.settings.http_unfinished_max:
            late = next((one for one in self._strangers if one.unfinished and not one.authenticated()), None)
            if late is None:
                return
            self.discard(late)
            late.drop()

    def stirred(self, connection: Connection) -> None:
        """The connection has received something: it is the least idle one."""
        queue = self._strangers if connection in self._strangers else self._known
        queue.pop(connection, None)
        queue[connection] = None

    def recognized(self, connection: Connection) -> None:
        """The connection has authenticated a request."""
        if self._strangers.pop(connection, connection) is None:
            self._known[connection] = None

    def refused(self, status: int) -> None:
        """Count a request that no route has seen."""
        self._metrics.http_requests.labels("OTHER", "refused", str(status)).inc()

    def _evict(self) -> None:
        for connection in list(self._strangers):
            if not connection.authenticated():
                break
            self.recognized(connection)
        else:
            found = next((one for one in self._known if one.idle()), None)
            if found is None:
                return
            connection = found
        self.discard(connection)
        connection.drop()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = [one for one in chain(self._strangers, self._known) if one.deadline <= now or one.stall <= now]
        for connection in late:
            connection.expire()
        if self._ended >= _MANY:
            self._ended = 0
            loop.run_in_executor(None, _give_back)
        self._timer = loop.call_later(self._tick, self._look) if len(self) else None

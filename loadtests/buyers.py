"""Buyers who honour Retry-After, many thousands of them in one process.

A request is a few bytes that are written to one of the connections that are kept; an answer is read no further than is
needed to know what became of the order. Locust needs several times the CPU for each, and on a small machine the load
would take it from the system that is measured.
"""

import asyncio
import json
import resource
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, cast
from urllib.parse import urlsplit

from sagakit.web.app import issue_token

WAIT: Final = 60  # seconds for which an answer may wait for the end of the order
PAUSE: Final = 0.2  # seconds before a request that got no answer is repeated
CONNECT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status, its Retry-After in seconds (1 if it has none), and its body."""

    status: int
    retry_after: int
    body: bytes


class Connection(asyncio.Protocol):
    """A connection that is kept, with one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request under way."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        """Answer the request when its answer is whole."""
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0 or self._answer is None:
            return
        head = bytes(self._received[:head_end]).lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in head[1:])
        length = int(headers[b"content-length"])
        body = bytes(self._received[head_end + 4 :])
        if len(body) >= length and not self._answer.done():
            self._received.clear()
            self._answer.set_result(Answer(int(head[0].split()[1]), int(headers.get(b"retry-after", b"1")), body))

    async def send(self, request: bytes) -> Answer:
        """Send a request; its answer.

        Raises:
            ConnectionResetError: The connection was closed before the answer.
        """
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None:
            raise ConnectionResetError("closed before the request")
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


@dataclass(slots=True)
class Purchase:
    """What became of an order; times are seconds of the monotonic clock.

    Attributes:
        sent: When the request that was accepted was sent.
        ended: When the buyer heard of its end; 0 if it did not.
        end: How the order ended, `COMPLETED` or the reason of its cancellation; empty if the buyer does not know.
        refused: How often the buyer was told to come again.
        error: An answer that is neither of these.
    """

    sent: float = 0.0
    ended: float = 0.0
    end: str = ""
    refused: int = 0
    error: str = ""

    @property
    def seconds(self) -> float:
        """How long the order took from its admission to its end."""
        return self.ended - self.sent


@dataclass(slots=True)
class Buyers:
    """Buyers of one shop. `most` bounds the connections; beyond it buyers wait for one."""

    url: str
    signing_key: str
    customers: int = 50
    most: int = 3500
    in_hand: int = field(default=0, init=False)  # requests sent and not answered
    _idle: list[Connection] = field(default_factory=list, init=False)
    _tokens: list[str] = field(default_factory=list, init=False)
    _numbers: Iterator[int] = field(default_factory=count, init=False)
    _run: str = field(default_factory=lambda: uuid.uuid4().hex[:8], init=False)
    _room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        allow_connections(self.most)
        self._tokens = [issue_token(self.signing_key, f"buyer-{n}", ttl=86400) for n in range(self.customers)]
        self._room = asyncio.Semaphore(self.most)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._idle:
            connection.close()

    async def buy(self, order: Mapping[str, Any], until: float) -> Purchase:
        """Place an order and wait for its end. A buyer who was refused comes again when told to, but not after `until`.

        Every repeat has the same key, so that one buyer has one order at most.
        """
        request, purchase = self._request(order), Purchase()
        accepted = False
        while True:
            sent = time.monotonic()
            try:
                answer = await self._send(request)
            except OSError as error:
                if sent > until + WAIT:
                    purchase.error = f"no answer: {error!r}"
                    return purchase
                await asyncio.sleep(PAUSE)
                continue
            if answer.status in (429, 503):
                purchase.refused += 1
                if sent + answer.retry_after > until and not accepted:
                    return purchase
                await asyncio.sleep(answer.retry_after)
                continue
            purchase.sent, accepted = purchase.sent or sent, True
            if answer.status == 202 and sent < until + WAIT:
                continue  # it was accepted, and has not ended within WAIT
            self._note(purchase, answer)
            return purchase

    def _note(self, purchase: Purchase, answer: Answer) -> None:
        if answer.status == 200:
            order = json.loads(answer.body)
            purchase.end, purchase.ended = order["cancellation_reason"] or order["status"], time.monotonic()
        elif answer.status != 202:
            purchase.error = f"answered {answer.status}: {answer.body.decode(errors='replace')[:200]}"

    def _request(self, order: Mapping[str, Any]) -> bytes:
        number, body = next(self._numbers), json.dumps(order).encode()
        head = (
            f"POST /orders HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self._tokens[number % self.customers]}\r\nPrefer: wait={WAIT}\r\n"
            f"Idempotency-Key: {self._run}-{number}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def _send(self, request: bytes) -> Answer:
        async with self._room:
            connection = await self._connection()
            self.in_hand += 1
            try:
                answer = await connection.send(request)
            finally:
                self.in_hand -= 1
            self._idle.append(connection)
            return answer

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        async with asyncio.timeout(CONNECT):
            _, made = await asyncio.get_running_loop().create_connection(Connection, parts.hostname, parts.port)
        return made


def allow_connections(most: int) -> None:
    """Let this process open that many connections, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + 200
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )

"""What the HTTP side of `POST /orders` costs: `python -m loadtests.door` prints microseconds of CPU for each request.

Requests go through the protocol of a connection, the application, the rules of placing an order and the reader of its
answer; the dispatcher, the watcher and the database behind them answer at once, from memory. So there is neither a
socket nor a transaction in the figure. Each request waits for the end of its order (`Prefer: wait`). They are sent
twice: for the shortcut, and with a media type that only the route accepts.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast
from unittest.mock import Mock

import msgspec
import uvloop
from uvicorn.server import ServerState

from checkout.messages import OrderCompleted, OrderPlaced, PlaceOrder
from order_service.api import router
from order_service.documents import EXAMPLE
from order_service.domain import COMPLETED
from sagakit.app.server import Server
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from sagakit.tokens import new_signing_key, public_half
from sagakit.web.app import Application, create_app, issue_token

CONNECTIONS: Final = 100
ROUNDS: Final = 3
PER_ROUND: Final = 100  # requests of each connection
BODY: Final = msgspec.json.encode(EXAMPLE)
MEDIA_TYPES: Final = {"shortcut": "application/json", "route": "application/json; charset=utf-8"}
PRICES: Final = [SimpleNamespace(sku=line["sku"], price=1200, currency="EUR") for line in EXAMPLE["lines"]]


class Row(NamedTuple):
    """An order, as `OrderQueries` reads it."""

    order_id: str
    customer: str
    status: str
    settled: bool
    cancellation_reason: None
    checkout: str
    fingerprint: str
    created_at: datetime


class Memory:
    """Stands in for the dispatcher, the watcher and the database: each order is completed when it is placed."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    async def do(self, command: PlaceOrder, cause: str | None = None, traceparent: str | None = None) -> OrderPlaced:
        """Place an order."""
        await asyncio.sleep(0)
        checkout = msgspec.json.encode(command.checkout).decode()
        self._rows[command.order_id] = Row(
            command.order_id,
            command.checkout.customer,
            COMPLETED,
            True,
            None,
            checkout,
            command.fingerprint,
            datetime.now(UTC),
        )
        return OrderPlaced(command.order_id, command.checkout, command.idempotency_key, command.fingerprint)

    async def wait(self, event_ids: Sequence[str], seconds: float) -> OrderCompleted:
        """Wait for the end of an order."""
        await asyncio.sleep(0)
        return OrderCompleted(event_ids[0].partition("/")[0])

    def execution_options(self, **_: Any) -> Memory:
        """The database itself."""
        return self

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Memory]:
        """A connection to the database."""
        yield self

    async def execute(self, _: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The rows of these orders, or the catalogue."""
        return PRICES if values is None else [self._rows.pop(key) for key in values["ids"] if key in self._rows]


class Transport(asyncio.Transport):
    """Calls `answered` when the body of an answer was written."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: asyncio.Future[None]
        self.status = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The addresses of both ends."""
        return {"sockname": ("127.0.0.1", 8001), "peername": ("127.0.0.1", 50_000)}.get(name, default)

    def write(self, data: Any) -> None:
        """Take a head or a body."""
        if data[:9] == b"HTTP/1.1 ":
            self.status = bytes(data[9:12])
        if data[-1:] == b"}":
            self.answered.set_result(None)

    def is_closing(self) -> bool:
        """No."""
        return False

    def get_write_buffer_size(self) -> int:
        """Nothing is left to be written."""
        return 0

    def resume_reading(self) -> None:
        """Nothing is read."""

    def close(self) -> None:
        """Nothing is open."""


class Door:
    """The order service with its connections, and what it is asked."""

    def __init__(self) -> None:
        key = new_signing_key()
        self._token = issue_token(key, "alice")
        settings = Settings.from_env(
            {"TOKEN_PUBLIC_KEYS": public_half(key), "SERVICE": "order", "COORDINATION_MODE": "kafka"}
        )
        memory, metrics = Memory(), Metrics()
        engine = Mock(dispatcher=memory, watcher=memory, on_commit=[])  # no request reaches the rest of it
        context = Mock(settings=settings, database=memory, engine=engine, metrics=metrics)
        routers = [router(cast(Any, context))]
        self.app = cast(Application, create_app("order", settings, _ready, routers=routers, metrics=metrics))
        self._config = Server(self.app, settings).config
        self._config.load()
        self._sent = 0

    def _request(self, media_type: str) -> bytes:
        self._sent += 1
        head = (
            "POST /orders HTTP/1.1",
            "Host: 127.0.0.1:8001",
            f"Content-Type: {media_type}",
            f"Authorization: Bearer {self._token}",
            f"Idempotency-Key: key-{self._sent}",
            "Prefer: wait=20",
            f"Content-Length: {len(BODY)}",
        )
        return "\r\n".join((*head, "", "")).encode() + BODY

    async def measure(self, media_type: str) -> float:
        """Microseconds of CPU for each request of that media type, the best of all rounds."""
        make = cast(Callable[..., Any], self._config.http_protocol_class)
        connections = []
        for _ in range(CONNECTIONS):
            protocol, transport = make(config=self._config, server_state=ServerState(), app_state={}), Transport()
            protocol.connection_made(transport)
            connections.append((protocol, transport))
        rounds = []
        for count in (1, *[PER_ROUND] * ROUNDS):
            requests = [[self._request(media_type) for _ in range(count)] for _ in connections]
            started = time.process_time()
            await asyncio.gather(*map(_ask, connections, requests))
            rounds.append((time.process_time() - started) / count / CONNECTIONS * 1e6)
        for protocol, _ in connections:
            protocol.connection_lost(None)
        return min(rounds[1:])


async def _ask(connection: tuple[Any, Transport], requests: Sequence[bytes]) -> None:
    protocol, transport = connection
    loop = asyncio.get_running_loop()
    for request in requests:
        transport.answered = loop.create_future()
        protocol.data_received(request)
        await transport.answered
        if transport.status != b"200":
            raise RuntimeError(f"the door answered {transport.status.decode()} instead of 200")


async def _ready() -> Mapping[str, Any]:
    return {}


async def main() -> None:
    """Print what a request costs by either way."""
    door = Door()
    await door.measure(MEDIA_TYPES["route"])  # the first request makes the token known, and imports what it needs
    for way, media_type in MEDIA_TYPES.items():
        print(f"{way:8} {await door.measure(media_type):6.1f} microseconds per POST", flush=True)


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # as `sagakit.app.server.run` does
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())

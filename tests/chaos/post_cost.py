"""What one POST costs in each of the protocols that could serve it: `python -m tests.chaos.post_cost [requests]`.

CPU time of this process per request, without a network: the same app, the same bytes with a customer's token, and
a transport that drops what is written. The protocols take turns, and the least of all rounds counts, so that other load
on the machine matters little.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

import uvloop
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from sagakit.web.app import JsonResponse, Principal, create_app, issue_token, require_customer
from sagakit.web.connections import Connections
from sagakit.web.protocol import BoundedProtocol
from tests.keys import PUBLIC_KEY, SIGNING_KEY

_BODY: Final = b'{"sku": "espresso-cup", "quantity": 2, "note": "' + b"x" * 400 + b'"}'
_HEAD: Final = (
    b"POST /orders HTTP/1.1\r\nHost: 127.0.0.1:8001\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    b"Content-Type: application/json\r\nAuthorization: Bearer %b\r\n"
    b"Idempotency-Key: 5f2c8a52-7f1c-4df7-9f2d-0d3a4dd1c5b4\r\nPrefer: wait=10\r\nContent-Length: %d\r\n\r\n"
)
_REQUEST: Final = _HEAD % (issue_token(SIGNING_KEY, "alice", ttl=86400).encode(), len(_BODY)) + _BODY
_ROUNDS: Final = 7


class _Transport(asyncio.Transport):
    """Drops what is written, and says when there was an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = asyncio.Event()

    def write(self, data: Any) -> None:
        if data.startswith(b"HTTP/1.1 2"):
            self.answered.set()

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...


class _Order(BaseModel):
    sku: str
    quantity: int
    note: str


async def _round(make: Callable[..., Any], config: Config, requests: int) -> float:
    """Microseconds of CPU per request."""
    protocol, transport = make(config=config, server_state=ServerState(), app_state={}), _Transport()
    protocol.connection_made(transport)
    began = time.process_time()
    for _ in range(requests):
        transport.answered.clear()
        protocol.data_received(_REQUEST)
        await transport.answered.wait()
        await asyncio.sleep(0)
    return (time.process_time() - began) / requests * 1e6


async def _main(requests: int) -> None:
    settings, router = Settings(token_public_keys=PUBLIC_KEY), APIRouter()

    @router.post("/orders")
    async def place(order: _Order, _: Annotated[Principal, Depends(require_customer)]) -> JsonResponse:
        return JsonResponse({"quantity": order.quantity}, 202)

    async def ready() -> dict[str, Any]:
        return {}

    config = Config(create_app("Cost", settings, ready, routers=[router]), ws="none", lifespan="off", access_log=False)
    logging.disable()
    connections = Connections(settings, Metrics())
    kinds: dict[str, Callable[..., Any]] = {
        "httptools": HttpToolsProtocol,
        "bounded": lambda **given: BoundedProtocol(**given, connections=connections),
        "h11": H11Protocol,
    }
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(_ROUNDS):
        for name, make in kinds.items():
            took[name].append(await _round(make, config, requests))
    for name, rounds in took.items():
        print(f"{name:10} {min(rounds):6.1f} µs of CPU per POST (least of {_ROUNDS} rounds of {requests})")


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]) if sys.argv[1:] else 2000))

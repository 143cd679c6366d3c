"""An app on a real socket, raw connections to it, and the requests that it has executed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import psutil
from fastapi import APIRouter, Depends, Request
from starlette.responses import StreamingResponse

from sagakit.app.server import Server, listen
from sagakit.settings import Settings
from sagakit.web.app import Draining, JsonResponse, Principal, create_app, issue_token, require_customer
from tests.keys import PUBLIC_KEY, SIGNING_KEY

TOKEN = issue_token(SIGNING_KEY, "alice").encode()


class Site:
    """A served app, the requests that it has executed, and raw connections to it."""

    def __init__(self, server: Server, port: int, executed: list[str]) -> None:
        self.server, self.port, self.executed = server, port, executed
        self.gate = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, *sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        for one in sent:
            writer.write(one)
            await writer.drain()
        return reader, writer

    async def all_of(self, *sent: bytes) -> bytes:
        """Read everything until the server closes the connection."""
        reader, _ = await self.open(*sent)
        return await whole(reader)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        self.gate.set()
        await self.server.finish()


async def whole(reader: asyncio.StreamReader, seconds: float = 5) -> bytes:
    async with asyncio.timeout(seconds):
        return await reader.read()


async def answer(reader: asyncio.StreamReader, seconds: float = 5) -> tuple[int, bytes]:
    """Read the next answer of declared length; returns its status and body."""
    async with asyncio.timeout(seconds):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        return int(head.split()[1]), await reader.readexactly(int(length.split(b":")[1]))


async def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (what is looked at is the server's own, and tells nobody)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Site]:
    router = APIRouter()
    executed: list[str] = []

    @router.post("/echo")
    async def echo(request: Request) -> JsonResponse:
        body = await request.body()
        executed.append(f"{request.url.path} {body.decode()}")
        return JsonResponse({"body": body.decode(), "upgrade": request.headers.get("upgrade")})

    @router.get("/wait")
    async def wait() -> JsonResponse:
        executed.append("/wait")
        await site.gate.wait()
        return JsonResponse("waited")

    @router.get("/patient")
    async def patient(request: Request, drain: Draining) -> JsonResponse:
        executed.append("/patient")
        await drain.race(site.gate.wait(), 3600, request.receive)
        executed.append("its end")
        return JsonResponse("waited")

    @router.get("/big")
    async def big() -> JsonResponse:
        return JsonResponse("x" * 1_000_000)

    @router.get("/mine")
    async def mine(caller: Annotated[Principal, Depends(require_customer)]) -> JsonResponse:
        return JsonResponse(caller.subject)

    @router.get("/pieces")
    async def pieces() -> StreamingResponse:
        async def some() -> AsyncIterator[str]:
            yield "one "
            yield "two"

        return StreamingResponse(some(), media_type="text/plain")

    async def ready() -> dict[str, Any]:
        return {}

    given = Settings(token_public_keys=PUBLIC_KEY, http_port=0, **settings)
    server = Server(create_app("Test", given, ready, routers=[router]), given)
    sock = listen(given)
    site = Site(server, sock.getsockname()[1], executed)
    server.task = asyncio.create_task(server.serve(sockets=[sock]))
    await eventually(lambda: server.started)
    try:
        yield site
    finally:
        await site.close()


def get(path: str = "/health/live", *more: bytes) -> bytes:
    return b"\r\n".join([f"GET {path} HTTP/1.1".encode(), b"Host: a", *more, b"", b""])


def post(body: bytes, *more: bytes) -> bytes:
    length = f"Content-Length: {len(body)}".encode()
    return b"\r\n".join([b"POST /echo HTTP/1.1", b"Host: a", length, *more, b"", body])


AUTHORIZED = b"Authorization: Bearer " + TOKEN
SMUGGLED = post(b"smuggled")


def memory() -> float:
    """Megabytes of this process that are resident now."""
    return int(psutil.Process().memory_info().rss) / 2**20

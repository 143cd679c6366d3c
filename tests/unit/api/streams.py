"""A client in this process that reads an event stream as it comes: httpx's ASGI transport waits for its end."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message

from tests.unit.api.served import Served, headers

Told = Callable[[], Awaitable[tuple[str, Any]]]


@asynccontextmanager
async def following(service: Served, order_id: str, given: Mapping[str, str] | None = None) -> AsyncIterator[Told]:
    """Follow the order's timeline at the service; what it yields returns the next event's id and data."""
    sent, hangs_up = asyncio.Queue[Message](), asyncio.Event()
    named = headers() if given is None else given
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/timeline/{order_id}/events",
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        "query_string": b"",
    }

    async def receive() -> Message:
        await hangs_up.wait()
        return {"type": "http.disconnect"}

    async def told() -> tuple[str, Any]:
        async with asyncio.timeout(20):
            while not (chunk := (await sent.get())["body"]).startswith(b"id: "):
                assert chunk.startswith(b":"), "a comment, or an event"
        lines = dict(line.split(": ", 1) for line in chunk.decode().splitlines() if line)
        assert lines["event"] == "timeline"
        return lines["id"], json.loads(lines["data"])

    serving = asyncio.create_task(service.app(scope, receive, sent.put))
    try:
        start = await asyncio.wait_for(sent.get(), 20)
        assert start["status"] == 200, await sent.get()
        yield told
    finally:
        hangs_up.set()
        await asyncio.wait_for(serving, 20)

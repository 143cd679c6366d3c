"""The watcher of the services' readiness."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtests.history import appending, read_lines
from loadtests.readiness import SERVICES, urls, watch, watching
from tests.waits import until

READY = {"status": "ready", "ready": True, "away": {}}
AWAY = {"status": "degraded", "ready": True, "away": {"kafka": "refused"}}
UNREADY = {"status": "not ready", "ready": False, "reason": "database is not migrated", "away": {"kafka": "refused"}}


class Service:
    """Answers every request with `body`, each in a connection of its own."""

    def __init__(self) -> None:
        self.body: Any = READY
        self.asked = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        assert path == b"/health/ready"
        body = json.dumps(self.body).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        self.asked.set()

    async def until_asked(self, times: int = 2) -> None:
        """Wait for two requests: the second is sent after the first answer has been read."""
        for _ in range(times):
            self.asked.clear()
            await asyncio.wait_for(self.asked.wait(), 10)


def changes(path: Path) -> list[tuple[str, str, list[str]]]:
    return [(line["service"], line["status"], line["reasons"]) for line in read_lines(path)]


async def test_only_changes_are_written_with_their_reasons(tmp_path: Path) -> None:
    path, service = tmp_path / "history.jsonl", Service()
    with appending(path, "watcher") as history:
        async with service.serving() as url:
            task = asyncio.create_task(watch({"order": url}, history, every=0.01))
            await service.until_asked()
            for body in (READY, AWAY, UNREADY, {"status": "odd"}, READY):
                service.body = body
                await service.until_asked(3)
        await until(lambda: changes(path)[-1][1] == "unreachable")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert changes(path) == [
        ("order", "ready", []),
        ("order", "degraded", ["kafka is away: refused"]),
        ("order", "unready", ["database is not migrated", "kafka is away: refused"]),
        ("order", "unreachable", ["no readiness in the answer: KeyError"]),
        ("order", "ready", []),
        ("order", "unreachable", ["ConnectError"]),
    ]


async def test_a_thread_watches_beside_code_that_does_not_await(tmp_path: Path) -> None:
    path, service = tmp_path / "history.jsonl", Service()
    async with service.serving() as url:
        with appending(path, "load") as history, watching({"payment": url}, history, every=0.01):
            await service.until_asked()
    assert changes(path) == [("payment", "ready", [])]


def test_the_addresses_are_those_of_the_stack() -> None:
    stack = {f"{name.upper()}_URL": f"http://{name}" for name in SERVICES} | {"TOKEN_SIGNING_KEY": "x"}
    assert urls(stack) == {name: f"http://{name}" for name in SERVICES}

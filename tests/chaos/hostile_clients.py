"""The two clients of `tests.chaos.hostile`: an attacker without a token, and well-behaved others."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final

from sagakit.web.app import issue_token
from tests.keys import SIGNING_KEY

LEGITIMATE: Final = 40.0
CONNECTIONS: Final = 8
RATES: Final[Mapping[str, float]] = {
    "upgrade": 5.0,  # a body that looks like a request, after an offer to upgrade, in a second packet
    "endless_header": 1.0,  # 4 MB of one header field
    "pipeline": 0.2,  # 10,000 requests whose answers are not read
    "half_header": 10.0,  # and nothing more
    "half_body": 10.0,  # and nothing more
    "silent": 40.0,  # connections without a byte
    "no_host": 5.0,
    "old": 5.0,  # HTTP/1.0
    "stream": 5.0,  # event streams without a token
}
_HEAD: Final = b"POST /mine HTTP/1.1\r\nHost: a\r\n"
_SMUGGLED: Final = b"POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


class Attack:
    """Attacks a port; it never closes a connection by itself."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._held: list[asyncio.StreamWriter] = []

    async def run(self, seconds: float) -> None:
        """Run all kinds of attacks at once, each at its rate."""
        kinds: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            name: getattr(self, name) for name in os.environ.get("KINDS", ",".join(RATES)).split(",")
        }
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for name, kind in kinds.items():
                    group.create_task(self._repeat(group, kind, 1 / RATES[name]))

    async def _repeat(
        self, group: asyncio.TaskGroup, kind: Callable[[], Coroutine[Any, Any, None]], pause: float
    ) -> None:
        while True:
            group.create_task(self._once(kind))
            await asyncio.sleep(pause)

    async def _once(self, kind: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with suppress(OSError):
            await kind()

    async def _say(self, *sent: bytes) -> None:
        """Send, read nothing, and keep the connection open."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1024)
        self._held.append(writer)
        for one in sent:
            writer.write(one)
            await writer.drain()
            await asyncio.sleep(0.01)

    async def upgrade(self) -> None:
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAE\r\n"
        await self._say(_HEAD + offer + b"Content-Length: %d\r\n\r\n" % len(_SMUGGLED), _SMUGGLED)

    async def endless_header(self) -> None:
        await self._say(_HEAD + b"X: ", *[b"x" * 65536] * 64)

    async def pipeline(self) -> None:
        await self._say(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n" * 10_000)

    async def half_header(self) -> None:
        await self._say(_HEAD)

    async def half_body(self) -> None:
        await self._say(_HEAD + b"Content-Length: 10000\r\n\r\n" + b"x" * 100)

    async def silent(self) -> None:
        await self._say()

    async def no_host(self) -> None:
        await self._say(b"POST /smuggled HTTP/1.1\r\nContent-Length: 0\r\n\r\n")

    async def old(self) -> None:
        await self._say(b"GET /health/live HTTP/1.0\r\n\r\n")

    async def stream(self) -> None:
        await self._say(b"GET /orders/any/events HTTP/1.1\r\nHost: a\r\n\r\n")


async def attack(port: int, seconds: float) -> int:
    """Attack for so long, and print the attacker's seconds of CPU per second. Returns the exit status."""
    began, cpu = time.monotonic(), time.process_time()
    await Attack(port).run(seconds)
    print((time.process_time() - cpu) / (time.monotonic() - began), flush=True)
    return 0


class Others:
    """Well-behaved clients with a token: an open-loop load over a few connections."""

    def __init__(self, port: int) -> None:
        self._port, self.took = port, list[float]()
        body = b'{"sku": "espresso-cup"}'
        token = issue_token(SIGNING_KEY, "alice").encode()
        self._request = _HEAD + b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (token, len(body), body)

    async def run(self, seconds: float) -> None:
        """Send requests at fixed times over the connections; latency counts from when a request was due."""
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._one(began, seconds, position) for position in range(CONNECTIONS)))

    async def _one(self, began: float, seconds: float, position: int) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for turn in range(position, int(seconds * LEGITIMATE), CONNECTIONS):
            due = began + turn / LEGITIMATE
            await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise AssertionError(head)
            await reader.readuntil(b"}")
            self.took.append((loop.time() - due) * 1000)
        writer.close()

"""Waits until a part of the stack answers, as seen from outside. Callers set the deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import asyncpg
import httpx

from tests.chaos.model import Injection
from tests.chaos.stack import StackUnderTest

LOOK_EVERY: Final = 0.05
CONNECT_WITHIN: Final = 3.0
BACK_WITHIN: Final = 60.0
PORTS: Final = {"kafka": "KAFKA_PORT", "temporal": "TEMPORAL_PORT", "sns_sqs": "AWS_PORT", "pubsub": "PUBSUB_PORT"}

_HTTP: Final = b"GET / HTTP/1.0\r\n\r\n"
_HTTP2: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")  # the preface, empty settings
_KAFKA: Final = bytes.fromhex("0000000a 0012 0000 00000001 ffff")  # ApiVersions 0, without a client id
HELLO: Final[Mapping[str, bytes]] = {"kafka": _KAFKA, "temporal": _HTTP2, "sns_sqs": _HTTP, "pubsub": _HTTP}
"""What each broker answers at once. A frozen process still takes connections: the kernel does that for it."""


async def answers(stack: StackUnderTest, name: str) -> None:
    """Wait until a service, the provider, a database ("order-db") or "broker" answers a request."""
    while True:
        try:
            await _ask(stack, name)
            return
        except (OSError, httpx.TransportError, asyncpg.PostgresError, asyncpg.InterfaceError, EOFError, TimeoutError):
            await asyncio.sleep(LOOK_EVERY)


async def back(stack: StackUnderTest, injection: Injection, name: str, before: int) -> int:
    """Wait until the successor of `before` answers, and end the fault as felt; returns the id of the successor."""
    async with asyncio.timeout(BACK_WITHIN):
        after = await stack.successor(name, before)
        await answers(stack, injection.target)
    injection.ended = time.time()
    injection.felt = after != before
    injection.detail = f"{name} answers again after {injection.ended - injection.began:.2f} s"
    return after


async def query(stack: StackUnderTest, service: str, statement: str, *arguments: Any) -> list[Any]:
    """Run a statement in a service's database, on a direct connection without any proxy; returns the rows."""
    url = stack.environment[f"{service.upper()}_DATABASE_URL"].replace("+asyncpg", "", 1)
    connection = await asyncpg.connect(url, timeout=CONNECT_WITHIN)
    try:
        rows: list[Any] = await connection.fetch(statement, *arguments, timeout=CONNECT_WITHIN)
        return rows
    finally:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError):
            await connection.close(timeout=1)


async def _ask(stack: StackUnderTest, name: str) -> None:
    if name == "broker":
        await _greet(int(stack.environment[PORTS[stack.substrate]]), HELLO[stack.substrate])
    elif name.endswith("-db"):
        await query(stack, name.removesuffix("-db"), "SELECT 1")
    else:
        async with httpx.AsyncClient(base_url=stack.environment[f"{name.upper()}_URL"], timeout=2) as client:
            await client.get("/health/live")


async def _greet(port: int, hello: bytes) -> None:
    """Raise an error unless the server there answers the first message of its protocol."""
    async with asyncio.timeout(CONNECT_WITHIN):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(hello)
            await reader.readexactly(1)
        finally:
            writer.close()

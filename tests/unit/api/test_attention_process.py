"""A service's own process counts what needs a human, whichever part of the work it does, also without its broker."""

import asyncio
import os
import subprocess
import sys

import httpx
import pytest

from tests.keys import PUBLIC_KEY
from tests.modes.servers import free_ports
from tests.postgres import Server

LETTERS = "INSERT INTO dead_letter (id, body, cause) SELECT n, '', 'cannot be read' FROM generate_series(1, 251) AS n"


@pytest.mark.parametrize("role", ["all", "worker"])
async def test_a_process_counts_what_needs_attention_without_anyone_asking(postgres: Server, role: str) -> None:
    url, port = postgres.database("payment"), free_ports(1)[0]
    await asyncio.to_thread(postgres.query, url, LETTERS)
    given = {
        "COORDINATION_MODE": "kafka",
        "KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "SERVICE": "payment",
        "ROLE": role,
        "DATABASE_URL": url,
        "TOKEN_PUBLIC_KEYS": PUBLIC_KEY,
        "HTTP_PORT": str(port),
        "PROVIDERS": "instant",
    }
    command = (sys.executable, "-m", "payment_service")
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **given}, stderr=subprocess.DEVNULL)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(20):
            while 'saga_attention{kind="dead-letter"} 251.0' not in await _metrics(client):
                assert process.returncode is None
                await asyncio.sleep(0.1)
    finally:
        process.terminate()
        async with asyncio.timeout(20):
            assert await process.wait() == 0


async def _metrics(client: httpx.AsyncClient) -> str:
    try:
        return (await client.get("/metrics")).text
    except httpx.TransportError:
        return ""

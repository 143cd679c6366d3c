"""A service without its broker is degraded: it stays in rotation, accepts orders, and becomes ready again by itself.

A real process, with a real database and a real Kafka that comes late, dies, freezes and comes back.
"""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy.engine import make_url

from sagakit.web.app import issue_token
from tests.e2e.stack import basket
from tests.keys import PUBLIC_KEY, SIGNING_KEY
from tests.modes.servers import HOST, ProcessServer, free_ports, running
from tests.postgres import Server, postgres, postgres_server

__all__ = ["postgres", "postgres_server"]


@pytest.fixture(scope="module")
def kafka() -> Iterator[ProcessServer]:
    with running("kafka") as server:
        yield server


class Order:
    """The order service on a port of its own, without peers and without a provider."""

    def __init__(self, kafka: str, database: str) -> None:
        port, nowhere, gone = free_ports(3)
        self.url, self.database = f"http://{HOST}:{port}", database
        environ = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
            "PYTHONPATH": os.pathsep.join(sys.path),
            "SERVICE": "order",
            "COORDINATION_MODE": "kafka",
            "TOKEN_PUBLIC_KEYS": PUBLIC_KEY,
            "HTTP_PORT": str(port),
            "DATABASE_URL": database,
            "KAFKA_BOOTSTRAP": kafka,
            "PROVIDER_URL": f"http://{HOST}:{gone}",
            **{f"{name}_URL": f"http://{HOST}:{nowhere}" for name in ("PAYMENT", "INVENTORY", "SHIPPING")},
        }
        self.child = subprocess.Popen([sys.executable, "-m", "order_service"], env=environ)
        self.client = httpx.AsyncClient(base_url=self.url, timeout=10)

    async def reports(self, status: str, seconds: float = 30, **members: object) -> Any:
        """What `/health/ready` reports once it has that status and those members."""
        health: Any = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        answer = await self.client.get("/health/ready")
                    except httpx.TransportError:
                        pass
                    else:
                        health = answer.json()
                        if health["status"] == status and members.items() <= health.items():
                            assert answer.status_code == (503 if status == "not ready" else 200)
                            return health
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"not {status} within {seconds} s: {health}")

    async def accepts_an_order(self) -> bool:
        token = issue_token(SIGNING_KEY, "alice", "customer")
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex}
        return (await self.client.post("/orders", json=basket(), headers=headers)).status_code == 202


@pytest.fixture
async def order(kafka: ProcessServer, postgres: Server) -> AsyncIterator[Order]:
    await asyncio.to_thread(kafka.stop)
    order = Order(kafka.address, postgres.database("order"))
    yield order
    await order.client.aclose()
    order.child.kill()
    order.child.wait()
    await asyncio.to_thread(kafka.start)


async def test_a_service_without_its_broker_is_degraded_and_accepts_orders(order: Order, kafka: ProcessServer) -> None:
    health = await order.reports("degraded", coordination=False, database=True, ready=True)
    assert health["away"].keys() == {"kafka"}
    assert await order.accepts_an_order()
    await asyncio.to_thread(kafka.start)
    assert (await order.reports("ready", coordination=True))["away"] == {}
    await asyncio.to_thread(kafka.kill)
    health = await order.reports("degraded", seconds=15, coordination=False)
    assert health["away"]["kafka"].startswith("ConnectionRefusedError")
    assert await order.accepts_an_order()
    await asyncio.to_thread(kafka.start)
    await order.reports("ready", coordination=True)
    kafka.freeze()
    try:
        health = await order.reports("degraded", seconds=15, coordination=False)
        assert health["away"] == {"kafka": "no answer within 2 s"}
    finally:
        kafka.thaw()
    await order.reports("ready", coordination=True)
    up = (await order.client.get("/metrics")).text
    assert 'dependency_up{name="kafka"} 1.0' in up


async def test_a_service_without_its_database_is_not_ready(
    order: Order, kafka: ProcessServer, postgres: Server
) -> None:
    await asyncio.to_thread(kafka.start)
    await order.reports("ready")
    name = make_url(order.database).database
    postgres.query(postgres.url("postgres"), f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    postgres.query(postgres.url("postgres"), end)
    health = await order.reports("not ready", seconds=15, database=False, coordination=True)
    assert "read-only" in health["reason"]
    postgres.query(postgres.url("postgres"), f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await order.reports("ready", seconds=15, database=True)
    assert await order.accepts_an_order()

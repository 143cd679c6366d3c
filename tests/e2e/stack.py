"""A running stack as its users see it, over HTTP; and as its operator, who can kill its processes."""

import asyncio
import json
import signal
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx

from quartet_stack import api
from sagakit.web.app import issue_token

SERVICES = ("order", "payment", "inventory", "shipping")
ENDED = ("COMPLETED", "CANCELLED")
TLS = ssl.create_default_context()  # never used, but a client that makes its own takes tens of milliseconds


def basket(sku: str = "espresso-cup", token: str = "tok_visa", country: str = "LV", quantity: int = 1) -> Any:  # noqa: S107
    """The body of an order."""
    return {
        "lines": [{"sku": sku, "quantity": quantity}],
        "payment": {"token": token},
        "shipping_address": {
            "name": "A. Customer",
            "line1": "1 Main St",
            "city": "Riga",
            "postal_code": "LV-1010",
            "country": country,
        },
    }


@dataclass
class Stack:
    """The stack of one mode."""

    mode: str
    folder: Path
    environment: Mapping[str, str]
    timeout: float = 60.0
    keys: list[str] = field(default_factory=list)

    def headers(self, customer: str = "alice", role: Any = "customer", **more: str) -> dict[str, str]:
        token = issue_token(self.environment["TOKEN_SIGNING_KEY"], customer, role)
        return {"Authorization": f"Bearer {token}", **more}

    @asynccontextmanager
    async def client(self, service: str = "order") -> AsyncIterator[httpx.AsyncClient]:
        url = self.environment[f"{service.upper()}_URL"]
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=url, timeout=self.timeout, limits=limits, verify=TLS) as client:
            yield client

    async def order(
        self, body: Any, key: str | None = None, wait: int | None = 40, customer: str = "alice"
    ) -> httpx.Response:
        """POST /orders, retried under the same key while there is no answer."""
        key = key or uuid.uuid4().hex
        headers = self.headers(customer, **{"Idempotency-Key": key})
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        return await self.insist("POST", "/orders", headers, body)

    async def insist(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None, service: str = "order"
    ) -> httpx.Response:
        """Retry until the service answers with anything but an outage."""
        async with asyncio.timeout(self.timeout), self.client(service) as client:
            while True:
                try:
                    answer = await client.request(method, path, headers=dict(headers), json=body)
                    if answer.status_code != 503:
                        return answer
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def get(self, path: str, service: str = "order", customer: str = "alice", role: Any = "customer") -> Any:
        """The JSON at `path`, or None for 404."""
        answer = await self.insist("GET", path, self.headers(customer, role), service=service)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    async def settled(self, order_id: str, seconds: float = 60, customer: str = "alice", *, pause: float = 0.1) -> Any:
        """Wait until the order has ended and settled; returns it. It is asked for every `pause` seconds.

        Raises:
            TimeoutError: It has not after so many seconds. No request is cut off: its connection would be left open.
        """
        end = time.monotonic() + seconds
        while True:
            order = await self.get(f"/orders/{order_id}", customer=customer)
            if order["status"] in ENDED and order["settled"]:
                return order
            if time.monotonic() > end:
                raise TimeoutError(f"after {seconds} s: {order}")
            await asyncio.sleep(pause)

    async def administer(self, service: str, statement: str) -> None:
        """Execute a statement in a service's database as the superuser."""
        secrets = json.loads((self.folder / "data" / "secrets.json").read_bytes())
        url = urlsplit(self.environment[f"{service.upper()}_DATABASE_URL"])
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=url.port,
            user="postgres",
            password=secrets["postgres"],
            database=url.path.lstrip("/"),
            timeout=10,
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        api.kill(name, number, stack_dir=self.folder)

    def stop(self, name: str) -> None:
        api.stop(name, stack_dir=self.folder)

    def start(self, name: str) -> None:
        api.start(name, stack_dir=self.folder)

    async def ready(self, name: str, seconds: float = 60) -> None:
        """Wait until the service is ready, not merely degraded."""
        async with asyncio.timeout(seconds), self.client(name) as client:
            while True:
                try:
                    if (await client.get("/health/ready")).json()["status"] == "ready":
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

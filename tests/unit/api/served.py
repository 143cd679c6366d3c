"""A service's whole HTTP interface in this process, on a real database, with nobody else around."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from sagakit.web.app import create_app, issue_token
from tests.keys import SIGNING_KEY
from tests.postgres import definition
from tests.service_process import Replica, service_process


def headers(customer: str = "alice", role: Any = "customer", **more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"Authorization": f"Bearer {issue_token(SIGNING_KEY, customer, role)}", **named}


ADMIN = headers("root", "admin")


def order_body(sku: str = "espresso-cup", quantity: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "lines": [{"sku": sku, "quantity": quantity}],
        "payment": {"token": "tok_visa"},
        "shipping_address": {
            "name": "A. Customer",
            "line1": "1 Main St",
            "city": "Riga",
            "postal_code": "LV-1010",
            "country": "LV",
        },
        **more,
    }


class Served:
    """The service behind `client`; `service_process` is what is behind the service."""

    def __init__(self, client: httpx.AsyncClient, service_process: Replica, app: FastAPI) -> None:
        self.client, self.service_process, self.app = client, service_process, app
        self.do = service_process.engine.dispatcher.do

    async def place(self, key: str = "k1", body: Any = None, customer: str = "alice", **more: str) -> httpx.Response:
        given = headers(customer, Idempotency_Key=key, **more)
        return await self.client.post("/orders", json=order_body() if body is None else body, headers=given)

    async def get(self, path: str, given: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.client.get(path, headers=dict(headers() if given is None else given))

    async def post(self, path: str, given: Mapping[str, str] | None = None, body: Any = None) -> httpx.Response:
        return await self.client.post(path, headers=dict(headers() if given is None else given), json=body)


@asynccontextmanager
async def served(service: str, url: str, **settings: Any) -> AsyncIterator[Served]:
    async with service_process(service, url, chatty=False, coordination_mode="kafka", **settings) as this:

        async def readiness() -> Mapping[str, Any]:
            return {"ready": True}

        app = create_app(service, this.settings, readiness, metrics=this.metrics)
        app.include_router(definition(service).router(this))
        this.engine.background.start("attention", this.attention.run)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as client:
            try:
                yield Served(client, this, app)
            finally:
                app.state.drain.start()


def problem(answer: httpx.Response, status: int, code: str) -> Any:
    """The body of an answer that is the problem it should be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"] == code, body
    assert body["type"].startswith("urn:")
    return body

"""A sandbox in this process, with short waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from provider_sandbox.ledger import Ledger
from provider_sandbox.main import build
from sagakit.http import issue_token
from sagakit.settings import Settings

SECRET = "a-secret-of-sufficient-length-for-hs256"


def authorization(role: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(SECRET, 'tester', role)}"}


class HangingUp(httpx.ASGITransport):
    """Reports an answer that the application left incomplete as a real connection would."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except AssertionError as error:
            raise httpx.RemoteProtocolError("incomplete answer") from error


@dataclass
class Sandbox:
    """The application and a client that speaks for a service."""

    transport: httpx.ASGITransport
    client: httpx.AsyncClient
    secret: str = SECRET

    async def call(self, party: str, operation: str, order_id: str = "o1", **payload: Any) -> httpx.Response:
        headers = {"Idempotency-Key": f"{order_id}/{operation}"}
        return await self.client.post(f"/{party}/{operation}", json={"order_id": order_id, **payload}, headers=headers)

    async def ledger(self, **params: Any) -> list[dict[str, Any]]:
        answer = await self.client.get("/ledger", params=params, headers=authorization("admin"))
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


@pytest.fixture
def as_role() -> Callable[[Any], dict[str, str]]:
    return authorization


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    ledger = Ledger(tmp_path / "deep" / "ledger.db")
    await ledger.open()
    settings = Settings(jwt_secret=SECRET, service="provider-sandbox", fault_injection=True)
    app, provider = build(settings, ledger, slow=0.2, hold=0.1)
    transport = HangingUp(app, raise_app_exceptions=False)
    headers = authorization("service")
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as client:
        yield Sandbox(transport, client)
    await provider.close()
    await ledger.close()

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
from sagakit.settings import Settings
from sagakit.web.app import issue_token
from tests.keys import PAYMENT_KEY, PUBLIC_KEY, SHIPPING_KEY, SIGNING_KEY


def authorization(who: Any) -> dict[str, str]:
    """As a person of that role, or as that service."""
    key = {"payment": PAYMENT_KEY, "shipping": SHIPPING_KEY}.get(who)
    return {"Authorization": f"Bearer {key or issue_token(SIGNING_KEY, 'tester', who)}"}


CALLERS = {"payment": "payment", "carrier": "shipping"}
KEYS: dict[str, Any] = {"provider_key_payment": PAYMENT_KEY, "provider_key_shipping": SHIPPING_KEY}


class HangingUp(httpx.ASGITransport):
    """Reports an answer that the application left incomplete as a real connection would."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except AssertionError as error:
            raise httpx.RemoteProtocolError("incomplete answer") from error


@dataclass
class Sandbox:
    """The application, and a client without credentials."""

    transport: httpx.ASGITransport
    client: httpx.AsyncClient

    async def call(self, party: str, operation: str, order_id: str = "o1", **payload: Any) -> httpx.Response:
        headers = {"Idempotency-Key": f"{order_id}/{operation}", **authorization(CALLERS[party])}
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
    settings = Settings(token_public_keys=PUBLIC_KEY, service="provider-sandbox", fault_injection=True, **KEYS)
    app, provider = build(settings, ledger, slow=0.2, hold=0.1)
    transport = HangingUp(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield Sandbox(transport, client)
    await provider.close()
    await ledger.close()

"""Following an order: a change of any service is told once, and a service that does not answer is asked again."""

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from console_service import following
from console_service.following import follow
from console_service.upstream import NOTHING, Upstream
from sagakit.settings import Settings
from tests.keys import PUBLIC_KEY
from tests.unit.console.site import PORTS


class Scripted:
    """Services whose timeline has so many entries; who knows as many waits until there are more."""

    def __init__(self) -> None:
        self.entries: Counter[str] = Counter()
        self.silent: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.changed = asyncio.Condition()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        service, known = PORTS[request.url.port or 0], request.headers.get("if-none-match")
        self.asked[service] += 1
        if service in self.silent:
            raise httpx.ConnectError("nobody")
        async with self.changed:
            if known is not None:
                assert request.headers["prefer"].startswith("wait=")
                await self.changed.wait_for(lambda: self.tag(service) != known)
            self.answered[service] += 1
            self.changed.notify_all()
        if not self.entries[service]:
            return httpx.Response(404, json={})
        items = [{"message": str(number)} for number in range(self.entries[service])]
        return httpx.Response(200, json={"items": items}, headers={"ETag": self.tag(service)})

    def tag(self, service: str) -> str:
        return f'"{self.entries[service]}"' if self.entries[service] else NOTHING

    async def record(self, service: str) -> None:
        async with self.changed:
            self.entries[service] += 1
            self.changed.notify_all()


def counts(timelines: Any) -> dict[str, int | None]:
    return {
        name: len(body["items"]) if body else None for name, body in timelines.items() if body is None or body["items"]
    }


async def test_each_change_is_told_and_nothing_else_is_asked() -> None:
    services = Scripted()
    async with Upstream(Settings(token_public_keys=PUBLIC_KEY), httpx.MockTransport(services)) as upstream:
        known = await upstream.timelines("o1", "t")
        async with aclosing(follow(upstream, "o1", "t", known)) as changes, asyncio.timeout(20):
            for service, expected in (("order", {"order": 1}), ("payment", {"order": 1, "payment": 1})):
                await services.record(service)
                assert counts(await anext(changes)) == expected
        asked = dict(services.asked)
    assert max(asked["inventory"], asked["shipping"]) <= 2, "once at first, and a request that waits"
    assert max(asked["order"], asked["payment"]) <= 3


async def test_what_has_happened_since_the_last_change_is_told_at_once() -> None:
    """Order has answered, and is asked again a little later; payment's answer, which is there, must not go ahead."""
    services = Scripted()
    async with (
        Upstream(Settings(token_public_keys=PUBLIC_KEY), httpx.MockTransport(services)) as upstream,
        aclosing(follow(upstream, "o1", "t", await upstream.timelines("o1", "t"))) as changes,
        asyncio.timeout(20),
    ):
        await services.record("order")
        assert counts(await anext(changes)) == {"order": 1}
        await services.record("order")
        await services.record("payment")
        async with services.changed:
            await services.changed.wait_for(lambda: services.answered["payment"] == 2)
        assert counts(await anext(changes)) == {"order": 2, "payment": 1}


async def test_a_service_that_does_not_answer_is_asked_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RETRY", 0.01)
    services = Scripted()
    services.silent.add("shipping")
    settings = Settings(token_public_keys=PUBLIC_KEY)
    async with Upstream(settings, httpx.MockTransport(services)) as upstream, asyncio.timeout(20):
        known = await upstream.timelines("o1", "t")
        assert known["shipping"] == ("", None)
        services.entries["shipping"] = 2
        services.silent.clear()
        async with aclosing(follow(upstream, "o1", "t", known)) as changes:
            assert counts(await anext(changes)) == {"shipping": 2}

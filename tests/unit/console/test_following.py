"""Following an order: a change of any service is told once, and a service that does not answer is asked again."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
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
    """Services whose timeline has so many entries, and which tell those who follow it when there are more."""

    def __init__(self) -> None:
        self.entries: Counter[str] = Counter()
        self.silent: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.ends: set[str] = set()
        self.nonsense: set[str] = set()
        self.changed = asyncio.Condition()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        service = PORTS[request.url.port or 0]
        self.asked[service] += 1
        if service in self.silent:
            raise httpx.ConnectError("nobody")
        if request.url.path.endswith("/events"):
            return httpx.Response(200, content=self.events(service, request.headers.get("last-event-id")))
        if not self.entries[service]:
            return httpx.Response(404, json={})
        return httpx.Response(200, json=self.timeline(service), headers={"ETag": self.tag(service)})

    async def events(self, service: str, sent: str | None) -> AsyncIterator[bytes]:
        yield b": open\n\n"
        if service in self.nonsense:
            yield b"data: {\n\n"
        while (tag := await self._next(service, sent)) != sent:
            sent = tag
            yield f"id: {tag}\nevent: timeline\ndata: {json.dumps(self.timeline(service))}\n\n".encode()
        self.ends.remove(service)
        await self.tell()

    async def _next(self, service: str, sent: str | None) -> str:
        async with self.changed:
            await self.changed.wait_for(lambda: self.tag(service) != sent or service in self.silent | self.ends)
            if service in self.silent:
                raise httpx.ReadError("broken")
            self.told[service] += self.tag(service) != sent
            self.changed.notify_all()
        return self.tag(service)

    def timeline(self, service: str) -> dict[str, Any] | None:
        items = [{"message": str(number)} for number in range(self.entries[service])]
        return {"items": items} if items else None

    def tag(self, service: str) -> str:
        return f'"{self.entries[service]}"' if self.entries[service] else NOTHING

    async def record(self, service: str) -> None:
        async with self.changed:
            self.entries[service] += 1
            self.changed.notify_all()

    async def tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()


def counts(timelines: Any) -> dict[str, int | None]:
    return {
        name: len(body["items"]) if body else None for name, body in timelines.items() if body is None or body["items"]
    }


@asynccontextmanager
async def followed(services: Scripted) -> AsyncIterator[AsyncIterator[Any]]:
    settings = Settings(token_public_keys=PUBLIC_KEY)
    async with Upstream(settings, httpx.MockTransport(services)) as upstream, asyncio.timeout(20):
        known = await upstream.timelines("o1", "t")
        async with aclosing(follow(upstream, "o1", "t", known)) as changes:
            yield changes


async def test_each_change_is_told_and_each_service_asked_for_one_stream() -> None:
    services = Scripted()
    async with followed(services) as changes:
        for service, expected in (("order", {"order": 1}), ("payment", {"order": 1, "payment": 1})):
            await services.record(service)
            assert counts(await anext(changes)) == expected
    assert set(services.asked.values()) == {2}, "its timeline at first, and then the stream"


async def test_what_has_happened_since_the_last_change_is_told_at_once() -> None:
    services = Scripted()
    async with followed(services) as changes:
        await services.record("order")
        assert counts(await anext(changes)) == {"order": 1}
        await services.record("order")
        await services.record("payment")
        async with services.changed:
            await services.changed.wait_for(lambda: (services.told["order"], services.told["payment"]) == (2, 1))
        assert counts(await anext(changes)) == {"order": 2, "payment": 1}


async def test_a_service_that_does_not_answer_is_asked_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RETRY", 0.01)
    services = Scripted()
    services.silent.add("shipping")
    async with followed(services) as changes:
        services.entries["shipping"] = 2
        services.silent.clear()
        assert counts(await anext(changes)) == {"shipping": 2}


async def test_a_service_that_breaks_off_is_unknown_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says then is told, though it is what it said before, and though that is nothing."""
    monkeypatch.setattr(following, "RETRY", 0.01)
    services = Scripted()
    async with followed(services) as changes:
        await services.record("order")
        assert counts(await anext(changes)) == {"order": 1}
        services.silent |= {"order", "payment"}
        await services.tell()
        assert counts(await anext(changes)) == {"order": None, "payment": None}
        services.silent.clear()
        while (told := counts(await anext(changes))) != {"order": 1}:
            assert None in told.values()


async def test_a_service_whose_stream_cannot_be_read_is_logged_and_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "RETRY", 0.01)
    services = Scripted()
    services.nonsense.add("payment")
    async with followed(services) as changes:
        assert counts(await anext(changes)) == {"payment": None}
        services.nonsense.clear()
        await services.record("payment")
        while (told := counts(await anext(changes))) != {"payment": 1}:
            assert told in ({"payment": None}, {})
    assert "payment's timeline cannot be followed" in caplog.text


async def test_a_stream_that_ends_goes_on_with_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RETRY", 0.01)
    services = Scripted()
    async with followed(services) as changes:
        await services.record("order")
        assert counts(await anext(changes)) == {"order": 1}
        services.ends.add("order")
        await services.tell()
        async with services.changed:
            await services.changed.wait_for(lambda: not services.ends)
        await services.record("order")
        assert counts(await anext(changes)) == {"order": 2}
    assert (services.asked["order"], services.told["order"]) == (3, 2)

"""The console with services that are played by a function."""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import httpx
from fastapi import FastAPI

from console_service.examples import example
from console_service.main import build
from sagakit.settings import Settings
from sagakit.web.app import issue_token
from tests.keys import PUBLIC_KEY, SIGNING_KEY

Services = Callable[[httpx.Request], httpx.Response]
CODE = "c" * 32
PORTS = {8001: "order", 8002: "payment", 8003: "inventory", 8004: "shipping", 8005: "provider", 8006: "auditor"}
TOXIPROXY = "http://127.0.0.1:8474"
PORTS[8474] = "toxiproxy"
VERDICT = {
    "consistent": False,
    "judged": [2, 3, 4],
    "violations": [{"number": 4, "name": "cancelled is undone", "what": "stock is held"}],
}
FINDING = {"number": 4, "name": "cancelled is undone", "meaning": "CANCELLED if and only if nothing is held"}
AUDIT = {
    **{"consistent": False, "vacuous": False, "drained": True, "seconds": 1.5, "notes": ["a note"]},
    "counts": {"orders": {"CANCELLED": 3}},
    "invariants": [
        {**FINDING, "judged": True, "checked": 3, "violations": 1, "found": [{"subject": "o1", "what": "held"}]}
    ],
}


def tokens(customer: str = "alice") -> dict[str, str]:
    return {
        "customer": issue_token(SIGNING_KEY, customer),
        "operator": issue_token(SIGNING_KEY, "operator", "admin"),
    }


class Played:
    """Services that know one recorded order, and write down what they were asked."""

    def __init__(self, name: str = "kafka-choreography.declined") -> None:
        self.example = example(name)
        self.order: dict[str, Any] = dict(self.example["order"])
        self.asked: list[tuple[str, str, str]] = []
        self.sent: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        service, path = PORTS[request.url.port or 0], request.url.path
        self.asked.append((service, request.method, path))
        self.sent.append(request)
        if path == "/sign-in":
            known = CODE.encode() in request.content
            return httpx.Response(200, json={"tokens": tokens()}) if known else refusal(404, "sign_in_code_unknown")
        if path.startswith("/stock/"):
            return httpx.Response(200, json={"available": 7})
        if path == "/health/ready":
            return httpx.Response(200, json={"status": "ready"})
        if path == "/metrics":
            return httpx.Response(200, text='saga_commands_total{name="PlaceOrder",outcome="OrderPlaced"} 3.0\n')
        if service == "toxiproxy":
            return self._proxy(request.method, path)
        if "authorization" not in request.headers:
            return refusal(401, "unauthenticated")
        return self._answer(service, request.method, path, request.headers.get("last-event-id"))

    def _answer(self, service: str, method: str, path: str, known: str | None) -> httpx.Response:
        order_id = self.order["order_id"]
        if service == "auditor":
            return httpx.Response(200, json=AUDIT if path == "/audit" else VERDICT)
        if path == f"/timeline/{order_id}":
            timeline = self.example["timelines"][service]
            return httpx.Response(200, json=timeline, headers={"ETag": tag_of(timeline)})
        if path == f"/timeline/{order_id}/events":
            timeline = self.example["timelines"][service]
            event = f"id: {tag_of(timeline)}\nevent: timeline\ndata: {json.dumps(timeline)}\n\n"
            return httpx.Response(200, text=f": open\n\n{event if tag_of(timeline) != known else ''}")
        if path == "/orders" and method == "POST":
            return httpx.Response(202, json=self.order)
        if path == "/orders":
            return httpx.Response(200, json={"items": [self.order], "next_cursor": None})
        if path == f"/orders/{order_id}":
            return httpx.Response(200, json=self.order)
        if path == "/ledger":
            return httpx.Response(200, json={"items": self.example["ledger"], "next_cursor": None})
        if path == "/attention":
            item = {"id": "outbox/1", "kind": "dead-letter", "since": "2026-11-26T09:00:00Z", "detail": "<b>why</b>"}
            return httpx.Response(200, json={"items": [item], "next_cursor": None})
        if path == "/faults":
            return httpx.Response(200, json={"set": [], "messages": None, "fired": {}})
        return refusal(404, "not_found")

    def _proxy(self, method: str, path: str) -> httpx.Response:
        slow = {"name": "slow", "type": "latency"}
        proxy = {"name": "payment.provider", "enabled": True, "toxics": [slow]}
        return httpx.Response(200, json={"payment.provider": proxy} if path == "/proxies" else proxy)


class Links(HTMLParser):
    """What a page loads or runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._script = tag == "script" and "src" not in given
        if tag in ("script", "img") or (tag == "link" and given.get("rel") != "prev"):
            self.loaded += [url for name in ("src", "href") if (url := given.get(name))]
        self.inline += [name for name in given if name.startswith("on") or name.startswith("hx-on") or name == "style"]
        if tag == "style":
            self.inline.append(tag)

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append("script")


def tag_of(timeline: Mapping[str, Any]) -> str:
    return f'"{len(timeline["items"])}"'


def refusal(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": f"refused: {code}", "status": status})


def csrf(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
    assert found is not None
    return found[1]


@asynccontextmanager
async def application(services: Services, **settings: Any) -> AsyncIterator[FastAPI]:
    """The console itself."""
    mode = services.order["mode"] if isinstance(services, Played) else "kafka-choreography"
    given: dict[str, Any] = {"coordination_mode": mode, "http_port": 8000, "fault_injection": True, **settings}
    app, upstream = build(Settings(token_public_keys=PUBLIC_KEY, **given), httpx.MockTransport(services))
    async with upstream:
        yield app


@asynccontextmanager
async def browser(services: Services, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the console that keeps cookies and follows redirects, as a browser does."""
    async with application(services, **settings) as app:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        html = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8000", headers=html, follow_redirects=True
        ) as client:
            yield client


async def sign_in(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/sign-in", data={"code": CODE})


async def be(client: httpx.AsyncClient, persona: str) -> None:
    page = await client.get("/learn")
    await client.post("/persona", data={"csrf": csrf(page), "persona": persona, "back": "/"})

"""The services as the console sees them: over HTTP, each request with the token of the person who looks.

Guarantee: the console adds no rights. What a service refuses, the page shows as that service's refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from console_service.diagram import SERVICES
from sagakit.settings import Settings

TIMEOUT: Final = 5.0  # seconds
SILENCE: Final = 20.0  # seconds; a stream in which nothing happens has a comment every 15
NOTHING: Final = '"0"'
"""The tag of a timeline that does not exist."""
EMPTY: Final[Mapping[str, Any]] = {"items": []}
"""Such a timeline."""
PROVIDER: Final = "provider"
TOXIPROXY: Final = "toxiproxy"
AUDITOR: Final = "auditor"


Timeline = Mapping[str, Any] | None
Timelines = Mapping[str, Timeline]
"""Service -> its timeline of an order: no items if it knows nothing of the order, None if it could not be asked."""
Tagged = Mapping[str, tuple[str, Timeline]]
"""The same, each with its tag: empty where the service could not be asked."""


class Refused(Exception):
    """A service answered with a problem; `detail` is its text, for people."""

    def __init__(self, service: str, status: int, code: str, detail: str) -> None:
        super().__init__(f"{service}: {status} {code}")
        self.service, self.status, self.code, self.detail = service, status, code, detail


class Silent(Exception):
    """A service did not answer."""

    def __init__(self, service: str) -> None:
        super().__init__(f"{service} does not answer")
        self.service = service


class Upstream:
    """A client of the four services, of the provider sandbox and the auditor, and of Toxiproxy where it runs."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._urls = {name: getattr(settings, f"{name}_url") for name in (*SERVICES, PROVIDER, TOXIPROXY, AUDITOR)}
        transport = transport or AiohttpTransport(client=_session)  # a third of the time of httpx's own
        self._client = httpx.AsyncClient(timeout=TIMEOUT, transport=transport, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def ask(
        self,
        service: str,
        method: str,
        path: str,
        token: str = "",
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        patience: float = TIMEOUT,
    ) -> Any:
        """The answer's JSON, or None if it has no body.

        Raises:
            Refused: The service answered with a status of 400 or more.
            Silent: It did not answer.
        """
        given = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        request = self._client.build_request(
            method, f"{self._urls[service]}{path}", params=params, json=body, headers=given, timeout=patience
        )
        try:
            answer = await self._client.send(request)
        except httpx.HTTPError:
            raise Silent(service) from None
        if answer.status_code >= 400:
            raise Refused(service, answer.status_code, *_problem_of(answer))
        return answer.json() if answer.content else None

    async def text(self, service: str, path: str) -> str:
        """The text at a public path, such as the metrics; empty if the service does not answer."""
        try:
            answer = await self._client.send(self._client.build_request("GET", f"{self._urls[service]}{path}"))
        except httpx.HTTPError:
            return ""
        return answer.text if answer.status_code == 200 else ""

    async def health(self, service: str) -> Mapping[str, Any]:
        """What the service says about its health; "silent" as its status if it says nothing."""
        try:
            answer = await self._client.send(self._client.build_request("GET", f"{self._urls[service]}/health/ready"))
            state: Mapping[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError):
            return {"status": "silent", "service": service}
        return state

    async def timelines(self, order_id: str, token: str) -> Tagged:
        """Each service's timeline of an order, with its tag."""
        asked = (self.timeline(service, order_id, token) for service in SERVICES)
        return dict(zip(SERVICES, await asyncio.gather(*asked), strict=True))

    async def timeline(self, service: str, order_id: str, token: str) -> tuple[str, Timeline]:
        """A service's timeline of an order, and its tag, which is empty where the service could not be asked."""
        url, headers = f"{self._urls[service]}/timeline/{order_id}", {"Authorization": f"Bearer {token}"}
        try:
            answer = await self._client.send(self._client.build_request("GET", url, headers=headers))
        except httpx.HTTPError:
            return "", None
        if answer.status_code == 404:
            return NOTHING, EMPTY
        return (answer.headers.get("etag", ""), answer.json()) if answer.status_code == 200 else ("", None)

    async def changes(
        self, service: str, order_id: str, token: str, known: str
    ) -> AsyncGenerator[tuple[str, Timeline], None]:
        """Yield a service's timeline of an order, and its tag, when that is not `known`, and after each change.

        It ends from time to time: go on with the last tag.

        Raises:
            Silent: The service does not answer, refuses, or has broken off.
        """
        headers = {"Authorization": f"Bearer {token}", **({"Last-Event-ID": known} if known else {})}
        url, patience = f"{self._urls[service]}/timeline/{order_id}/events", httpx.Timeout(TIMEOUT, read=SILENCE)
        try:
            async with self._client.stream("GET", url, headers=headers, timeout=patience) as answer:
                if answer.status_code != 200:
                    raise Silent(service)
                async for line in answer.aiter_lines():
                    if line.startswith("id: "):
                        tag = line[4:]
                    elif line.startswith("data: "):
                        yield tag, msgspec.json.decode(line[6:]) or EMPTY
        except httpx.HTTPError:
            raise Silent(service) from None

    async def maybe(self, service: str, path: str, token: str = "", params: Mapping[str, str] | None = None) -> Any:
        """As `ask` with GET, but None where the service refuses or does not answer."""
        try:
            return await self.ask(service, "GET", path, token, params=params)
        except (Refused, Silent):
            return None


def _session() -> aiohttp.ClientSession:
    """As many connections as needed: each live page follows four streams."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())


def _problem_of(answer: httpx.Response) -> tuple[str, str]:
    """The code and the text of a problem."""
    try:
        problem = answer.json()
    except ValueError:
        return "", answer.reason_phrase
    return str(problem.get("code", "")), str(problem.get("detail", ""))

"""A client of Toxiproxy's HTTP interface. Every call has a timeout, and raises httpx.HTTPError if it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import httpx

CALL_TIMEOUT: Final = 3.0
NOT_THERE: Final = 404
UPSTREAM, DOWNSTREAM = "upstream", "downstream"


@dataclass(frozen=True, slots=True)
class Toxic:
    """What Toxiproxy does to one direction of each connection of a proxy.

    `stream`: UPSTREAM is what the client sends, DOWNSTREAM what it receives. `attributes`: numbers, by kind:
    latency: `latency` and `jitter` (ms); bandwidth: `rate` (KB/s); reset_peer and timeout: `timeout` (ms, 0 for none).
    """

    kind: str
    stream: str
    attributes: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.stream}"


class Toxiproxy:
    """The Toxiproxy at `url`, to be used in `async with`. `transport` replaces the network, for tests."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=CALL_TIMEOUT, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def proxies(self) -> dict[str, Any]:
        """All proxies by name, each with `listen`, `upstream`, `enabled` and `toxics`."""
        proxies: dict[str, Any] = await self._call("GET", "/proxies")
        return proxies

    async def listens(self, proxy: str) -> tuple[str, int]:
        """The address and the port that a proxy listens on."""
        address, _, port = (await self._call("GET", f"/proxies/{proxy}"))["listen"].rpartition(":")
        return address, int(port)

    async def add(self, proxy: str, toxic: Toxic) -> None:
        """Add a toxic, to open connections too. An error if the proxy has one of this kind and stream already."""
        body = {"name": toxic.name, "type": toxic.kind, "stream": toxic.stream, "attributes": dict(toxic.attributes)}
        await self._call("POST", f"/proxies/{proxy}/toxics", body)

    async def remove(self, proxy: str, toxic: Toxic) -> None:
        """Remove a toxic, if it is still there. Data that a `timeout` held back is lost."""
        await self._call("DELETE", f"/proxies/{proxy}/toxics/{toxic.name}", or_not_there=True)

    async def enable(self, proxy: str, on: bool) -> None:
        """Turn a proxy on, or off: then it closes all connections and does not listen."""
        await self._call("POST", f"/proxies/{proxy}", {"enabled": on})

    async def reset(self) -> None:
        """Turn all proxies on, and remove all toxics."""
        await self._call("POST", "/reset")

    async def _call(self, method: str, path: str, body: Any = None, *, or_not_there: bool = False) -> Any:
        answer = await self._client.request(method, path, json=body)
        if or_not_there and answer.status_code == NOT_THERE:
            return None
        answer.raise_for_status()
        return answer.json() if answer.content else None

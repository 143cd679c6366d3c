"""The connections of the services, where Toxiproxy runs between them and what they depend on (`TOXICS=on`).

Toxiproxy asks nobody who he is; the console lets only the operator reach it.
"""

from collections.abc import Mapping
from typing import Any, Final

from console_service.upstream import TOXIPROXY, Upstream

NETWORK: Final[Mapping[str, str]] = {
    "cut": "is cut: nobody gets through",
    "slow": "is slow: every answer comes a second late",
    "silent": "is silent: it stays open, and nothing comes through",
    "well": "works",
}
"""Kind of a fault -> what happens to the connection."""
_TOXICS: Final[Mapping[str, Mapping[str, Any]]] = {
    "slow": {"name": "slow", "type": "latency", "stream": "downstream", "attributes": {"latency": 1000}},
    "silent": {"name": "silent", "type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}},
}


class Network:
    """Toxiproxy at this address; without an address there are no connections to break."""

    def __init__(self, url: str | None, upstream: Upstream) -> None:
        self._url, self._upstream = url, upstream

    async def links(self) -> dict[str, str]:
        """Connection, such as `payment.payment-db` -> what is wrong with it, empty if nothing is."""
        found = await self._ask("GET", "/proxies") if self._url else {}
        return {name: _state(proxy) for name, proxy in sorted(found.items())}

    async def set(self, link: str, kind: str) -> None:
        """Make the connection behave like that."""
        await self._mend(link)
        if kind == "cut":
            await self._ask("POST", f"/proxies/{link}", {"enabled": False})
        elif toxic := _TOXICS.get(kind):
            await self._ask("POST", f"/proxies/{link}/toxics", toxic)

    async def heal(self) -> None:
        """Mend all connections."""
        if self._url:
            await self._ask("POST", "/reset")

    async def _mend(self, link: str) -> None:
        for toxic in (await self._ask("GET", f"/proxies/{link}"))["toxics"]:
            await self._ask("DELETE", f"/proxies/{link}/toxics/{toxic['name']}")
        await self._ask("POST", f"/proxies/{link}", {"enabled": True})

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return await self._upstream.ask(TOXIPROXY, method, path, body=body)


def _state(proxy: Mapping[str, Any]) -> str:
    if not proxy["enabled"]:
        return "cut"
    return ", ".join(toxic["name"] for toxic in proxy["toxics"])

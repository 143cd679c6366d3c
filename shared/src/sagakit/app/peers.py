"""Whether the services of one stack run in one mode: each asks the others, who say it in `/health/live`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from sagakit.http_get import get
from sagakit.settings import Settings

PERIOD: Final = 5.0
TIMEOUT: Final = 2.0
PATIENCE: Final = 30.0  # a switch of the mode takes so long, at most


class _Live(msgspec.Struct):
    service: str
    mode: str


def urls_of(settings: Settings) -> dict[str, str]:
    """The addresses of all services but this one."""
    every = {
        "order": settings.order_url,
        "payment": settings.payment_url,
        "inventory": settings.inventory_url,
        "shipping": settings.shipping_url,
    }
    return {name: url for name, url in every.items() if name != settings.service}


class Peers:
    """`disagreement` are the peers that have said another mode than `mode`, at each answer for `patience` seconds.

    One that cannot be reached, or answers for another service, disagrees with nobody.
    """

    def __init__(
        self,
        mode: str,
        urls: Mapping[str, str],
        *,
        period: float = PERIOD,
        patience: float = PATIENCE,
        ask: Callable[[str], Awaitable[tuple[int, bytes]]] = get,
    ) -> None:
        self._mode, self._urls, self._period, self._patience, self._ask = mode, urls, period, patience, ask
        self._others: dict[str, tuple[str, float]] = {}  # the mode that it says, and since when

    def disagreement(self) -> dict[str, str]:
        """Peer -> mode."""
        now = time.monotonic()
        return {name: mode for name, (mode, since) in sorted(self._others.items()) if now - since > self._patience}

    async def run(self) -> None:
        """Ask all, each period."""
        while True:
            await asyncio.gather(*(self._look(name, url) for name, url in self._urls.items()))
            await asyncio.sleep(self._period)

    async def _look(self, name: str, url: str) -> None:
        other = await self._other(name, url)
        if other is None:
            self._others.pop(name, None)
        else:
            since = self._others[name][1] if name in self._others else time.monotonic()
            self._others[name] = other, since

    async def _other(self, name: str, url: str) -> str | None:
        """The mode that the peer says, unless it is ours or nobody knows."""
        try:
            async with asyncio.timeout(TIMEOUT):
                _, body = await self._ask(f"{url}/health/live")
            said = msgspec.json.decode(body, type=_Live)
        except (OSError, msgspec.MsgspecError):
            return None
        return said.mode if said.service == name and said.mode != self._mode else None

"""Whether all services of a stack run in the same mode: each asks the others for theirs, at `/health/ready`."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from sagakit.http_get import get
from sagakit.settings import Settings

log = logging.getLogger(__name__)

PERIOD: Final = 5.0
TIMEOUT: Final = 2.0
PATIENCE: Final = 30.0  # the longest time that switching the mode of a stack takes


class _Answer(msgspec.Struct):
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
    """Asks the peers for their mode. A peer that cannot be reached, or is another service, counts as agreeing."""

    def __init__(
        self,
        mode: str,
        urls: Mapping[str, str],
        *,
        period: float = PERIOD,
        patience: float = PATIENCE,
        ask: Callable[[str], Awaitable[tuple[int, bytes]]] = get,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`period`: seconds between two questions; `patience`: seconds for which peers may disagree."""
        self._mode, self._urls, self._period, self._patience, self._ask = mode, urls, period, patience, ask
        self._clock = clock
        self._logged: dict[str, str] = {}  # the last disagreement that the log tells of
        self._others: dict[str, tuple[str, float]] = {}  # of each: its mode, and since when

    def disagreement(self) -> dict[str, str]:
        """Peers that have run in another mode for longer than `patience`, and their modes."""
        now = self._clock()
        return {name: mode for name, (mode, since) in sorted(self._others.items()) if now - since > self._patience}

    async def run(self) -> None:
        """Ask all peers each period, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._period)

    async def look(self) -> None:
        """Ask all peers once; the log tells when a disagreement has lasted too long, and when it has ended."""
        await asyncio.gather(*(self._look(name, url) for name, url in self._urls.items()))
        others = self.disagreement()
        if others != self._logged:
            said = ", ".join(f"{name} runs in {mode}" for name, mode in others.items())
            if others:
                log.warning("not ready: this service runs in %s, but %s", self._mode, said)
            else:
                log.info("all services run in %s again", self._mode)
            self._logged = others

    async def _look(self, name: str, url: str) -> None:
        other = await self._other(name, url)
        if other is None:
            self._others.pop(name, None)
        else:
            since = self._others[name][1] if name in self._others else self._clock()
            self._others[name] = other, since

    async def _other(self, name: str, url: str) -> str | None:
        """The mode of the peer; None if it is ours or unknown."""
        try:
            async with asyncio.timeout(TIMEOUT):
                _, body = await self._ask(f"{url}/health/ready")
            answer = msgspec.json.decode(body, type=_Answer)
        except (OSError, msgspec.MsgspecError):
            return None
        return answer.mode if answer.service == name and answer.mode != self._mode else None

"""What this party has in hand: leased from Pub/Sub, kept leased, and acknowledged or given back."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.api_core.exceptions import GoogleAPIError, InvalidArgument

from sagakit.modes.pubsub.client import Client
from sagakit.modes.pubsub.topology import DEADLINE

log = logging.getLogger(__name__)

AT_ONCE: Final = 1000  # ids in one request, which may have 512 KiB


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """A received message, ours until it is acknowledged or given back, or the broker has forgotten it."""

    subscription: str
    ack_id: str
    message: Any


class Leases:
    """At least once: a call that fails is logged and left, for the message comes again when its lease ends.

    A lease that was forgotten is touched no more: a restarted emulator gives its ids to other messages.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._held: set[Lease] = set()
        self._resting: set[Lease] = set()
        self._fading: dict[Lease, float] = {}  # until when
        self._rests: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are in hand, without those that rest or fade."""
        return len(self._held)

    def hold(self, leases: Iterable[Lease]) -> None:
        self._held.update(leases)

    def forget(self) -> None:
        self._held.clear()
        self._resting.clear()
        self._fading.clear()

    def fade(self, leases: Iterable[Lease]) -> None:
        """Extended no longer: nobody may have them any more. Until they end, they can be settled as before."""
        end = time.monotonic() + DEADLINE
        known = self._held.intersection(leases)
        self._held -= known
        self._fading |= dict.fromkeys(known, end)

    async def acknowledge(self, leases: Iterable[Lease]) -> None:
        await self._each(self._let_go(leases), self._client.acknowledge)

    def rest(self, leases: Collection[Lease], seconds: float) -> None:
        """They count as in hand no longer, and come again after a while."""
        known = self._let_go(leases)
        self._resting |= known
        task = asyncio.create_task(self._give_back(known, seconds))
        self._rests.add(task)
        task.add_done_callback(self._rests.discard)

    def set_aside(self, leases: Iterable[Lease]) -> set[Lease]:
        """They count as in hand no longer, and stay leased all the same, until they are taken up. Those it could."""
        known = self._let_go(leases)
        self._resting |= known
        return known

    def take_up(self, leases: Iterable[Lease]) -> set[Lease]:
        """In hand again, those that were set aside and not forgotten since."""
        known = self._resting.intersection(leases)
        self._resting -= known
        self._held |= known
        return known

    def _let_go(self, leases: Iterable[Lease]) -> set[Lease]:
        known = {lease for lease in leases if lease in self._held or lease in self._fading}
        self._held -= known
        for lease in known:
            self._fading.pop(lease, None)
        return known

    async def _give_back(self, leases: Collection[Lease], seconds: float) -> None:
        await asyncio.sleep(seconds)
        known = self._resting.intersection(leases)
        self._resting -= known
        await self._extend(known, 0)

    async def keep(self) -> None:
        """For ever: no lease ends while its message is in hand."""
        while True:
            await asyncio.sleep(DEADLINE / 3)
            now = time.monotonic()
            self._fading = {lease: end for lease, end in self._fading.items() if end > now}
            await self._extend(self._held | self._resting, DEADLINE)

    async def close(self) -> None:
        """Give back whatever is left."""
        for task in (tasks := list(self._rests)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        left = self._held | self._resting | self._fading.keys()
        self.forget()
        await self._extend(left, 0)

    async def _extend(self, leases: Iterable[Lease], seconds: int) -> None:
        await self._each(leases, lambda subscription, ids: self._client.extend(subscription, ids, seconds))

    async def _each(self, leases: Iterable[Lease], call: Callable[[str, Sequence[str]], Awaitable[None]]) -> None:
        by_subscription: defaultdict[str, list[str]] = defaultdict(list)
        for lease in leases:
            by_subscription[lease.subscription].append(lease.ack_id)
        await asyncio.gather(
            *(
                _tolerant(call, subscription, ids[start : start + AT_ONCE])
                for subscription, ids in by_subscription.items()
                for start in range(0, len(ids), AT_ONCE)
            )
        )


async def _tolerant(
    call: Callable[[str, Sequence[str]], Awaitable[None]], subscription: str, ids: Sequence[str]
) -> None:
    """One id that is no longer valid fails the whole call at the emulator: then in halves."""
    try:
        await call(subscription, ids)
    except InvalidArgument:
        if half := len(ids) // 2:
            await _tolerant(call, subscription, ids[:half])
            await _tolerant(call, subscription, ids[half:])
    except GoogleAPIError as error:
        log.info("%d messages of %s come again: %s", len(ids), subscription, error)

"""The leases of received messages: extended while a message is in hand, then acknowledged or given back."""

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
    """A received message. It is ours until it is acknowledged or given back, or the broker has forgotten it."""

    subscription: str
    ack_id: str
    message: Any


class Leases:
    """All leases of one consumer. A call that fails is logged and left: the message comes again when its lease ends.

    A lease is in hand (extended, and counted by `len`), waiting (extended, not counted) or expiring (not extended).
    A forgotten lease is never touched again, since a restarted emulator gives its id to another message.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._in_hand: set[Lease] = set()
        self._waiting: set[Lease] = set()
        self._expiring: dict[Lease, float] = {}  # until when
        self._pauses: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many leases are in hand."""
        return len(self._in_hand)

    def hold(self, leases: Iterable[Lease]) -> None:
        """Take leases of messages just received in hand."""
        self._in_hand.update(leases)

    def forget(self) -> None:
        """Drop all leases, because the broker has forgotten them."""
        self._in_hand.clear()
        self._waiting.clear()
        self._expiring.clear()

    def expire(self, leases: Iterable[Lease]) -> None:
        """Stop extending leases that nobody has settled. Until they end they can still be settled."""
        end = time.monotonic() + DEADLINE
        ours = self._in_hand.intersection(leases)
        self._in_hand -= ours
        self._expiring |= dict.fromkeys(ours, end)

    async def acknowledge(self, leases: Iterable[Lease]) -> None:
        """Acknowledge those of the leases that are still ours."""
        await self._each(self._release(leases), self._client.acknowledge)

    def give_back_after(self, leases: Collection[Lease], seconds: float) -> None:
        """Let the leases wait for `seconds`, then give them back, so that their messages are delivered again."""
        ours = self.set_aside(leases)
        task = asyncio.create_task(self._give_back(ours, seconds))
        self._pauses.add(task)
        task.add_done_callback(self._pauses.discard)

    def set_aside(self, leases: Iterable[Lease]) -> set[Lease]:
        """Let the leases wait until they are resumed; returns those that are still ours."""
        ours = self._release(leases)
        self._waiting |= ours
        return ours

    def resume(self, leases: Iterable[Lease]) -> set[Lease]:
        """Take leases that wait in hand again; returns those that are still ours."""
        ours = self._waiting.intersection(leases)
        self._waiting -= ours
        self._in_hand |= ours
        return ours

    def _release(self, leases: Iterable[Lease]) -> set[Lease]:
        ours = {lease for lease in leases if lease in self._in_hand or lease in self._expiring}
        self._in_hand -= ours
        for lease in ours:
            self._expiring.pop(lease, None)
        return ours

    async def _give_back(self, leases: Collection[Lease], seconds: float) -> None:
        await asyncio.sleep(seconds)
        ours = self._waiting.intersection(leases)
        self._waiting -= ours
        await self._extend(ours, 0)

    async def keep(self) -> None:
        """Extend leases until cancelled, so that none ends while its message is in hand or waits."""
        while True:
            await asyncio.sleep(DEADLINE / 3)
            now = time.monotonic()
            self._expiring = {lease: end for lease, end in self._expiring.items() if end > now}
            await self._extend(self._in_hand | self._waiting, DEADLINE)

    async def close(self) -> None:
        """Give back all leases that are left."""
        for task in (tasks := list(self._pauses)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        left = self._in_hand | self._waiting | self._expiring.keys()
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
    """Make the call. At the emulator one invalid id fails the whole call, which is then repeated in halves."""
    try:
        await call(subscription, ids)
    except InvalidArgument:
        if half := len(ids) // 2:
            await _tolerant(call, subscription, ids[:half])
            await _tolerant(call, subscription, ids[half:])
    except GoogleAPIError as error:
        log.info("a call about %d messages of %s failed, they come again: %s", len(ids), subscription, error)

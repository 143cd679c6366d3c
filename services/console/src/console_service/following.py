"""Following an order: its four timelines, each asked for again when its service has something new.

Guarantee: a change is told GAP seconds after the one before it, or when it is known if that is later. A service is
asked AGAIN seconds after its last answer; while nothing happens there a request waits, which costs nothing.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from console_service.diagram import SERVICES
from console_service.upstream import Timeline, Timelines, Upstream

RETRY: Final = 0.5
"""Seconds until a service that could not be asked is asked again."""
GAP: Final = 0.12
"""Seconds between two changes that are told: a browser needs some of them to show one."""
AGAIN: Final = 0.1
"""Seconds until a service that has answered is asked again: what it does meanwhile comes in one answer, which is there
when the next change is told."""


async def follow(upstream: Upstream, order_id: str, token: str) -> AsyncGenerator[Timelines, None]:
    """Yield all timelines, and again whenever one of them has changed, until closed."""
    found: dict[str, Timeline] = {}
    news = asyncio.Event()

    async def keep(service: str) -> None:
        known = ""
        while True:
            tag, timeline = await upstream.timeline(service, order_id, token, known)
            if tag != known or service not in found:
                found[service] = timeline
                news.set()
            known = tag
            await asyncio.sleep(AGAIN if tag else RETRY)

    tasks = [asyncio.create_task(keep(service), name=f"follow {service}") for service in SERVICES]
    clock, next_at = asyncio.get_running_loop().time, 0.0
    try:
        while True:
            await news.wait()
            await asyncio.sleep(next_at - clock())
            news.clear()
            if len(found) == len(SERVICES):
                next_at = clock() + GAP
                yield dict(found)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""Following an order: its four timelines, each asked for again when its service has something new.

Guarantee: a service is asked at most once every PACE seconds; while nothing happens a request waits, which costs
nothing.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from console_service.diagram import SERVICES
from console_service.upstream import Timeline, Timelines, Upstream

PACE: Final = 0.03  # seconds between two requests to one service about one order
AGAIN: Final = 0.5  # seconds until a service that could not be asked is asked again


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
            await asyncio.sleep(PACE if tag else AGAIN)

    tasks = [asyncio.create_task(keep(service), name=f"follow {service}") for service in SERVICES]
    try:
        while True:
            await news.wait()
            news.clear()
            if len(found) == len(SERVICES):
                yield dict(found)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

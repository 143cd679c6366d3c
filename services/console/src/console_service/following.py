"""Following an order: its four timelines, each asked for again when its service has something new.

Guarantee: a service is asked once for each time that whoever follows takes what is new, and while nothing happens a
request waits, which costs nothing.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from console_service.diagram import SERVICES
from console_service.upstream import Timeline, Timelines, Upstream

AGAIN: Final = 0.5  # seconds until a service that could not be asked is asked again


async def follow(upstream: Upstream, order_id: str, token: str) -> AsyncGenerator[Timelines, None]:
    """Yield all timelines, and again whenever one of them has changed, until closed."""
    found: dict[str, Timeline] = {}
    waiting: list[asyncio.Event] = []
    news = asyncio.Event()

    async def keep(service: str) -> None:
        known = ""
        while True:
            tag, timeline = await upstream.timeline(service, order_id, token, known)
            if tag != known or service not in found:
                found[service] = timeline
                taken = asyncio.Event()
                waiting.append(taken)
                news.set()
                await taken.wait()
            known = tag
            if not tag:
                await asyncio.sleep(AGAIN)

    tasks = [asyncio.create_task(keep(service), name=f"follow {service}") for service in SERVICES]
    try:
        while True:
            await news.wait()
            news.clear()
            if len(found) == len(SERVICES):
                yield dict(found)
                for taken in waiting:
                    taken.set()
                waiting.clear()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

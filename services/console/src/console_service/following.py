"""Following an order: its four timelines, each asked for again when its service has something new.

Guarantee: between two changes that are told there are GAP seconds or more, and all that happened before the second is
told with it. A service is asked once for each change that it contributed to, and while nothing happens a request waits,
which costs nothing.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from console_service.diagram import SERVICES
from console_service.upstream import Timeline, Timelines, Upstream

AGAIN: Final = 0.5
"""Seconds until a service that could not be asked is asked again."""
GAP: Final = 0.1
"""Seconds between two changes that are told: a browser needs some of them to show one."""
MOMENT: Final = 0.02
"""The part of them in which the services that are asked again answer, if they have something new."""


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
                await asyncio.sleep(GAP - MOMENT)
                for taken in waiting:
                    taken.set()
                waiting.clear()
                await asyncio.sleep(MOMENT)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

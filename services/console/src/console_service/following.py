"""Following an order: its four timelines, each asked for again when its service has something new.

Guarantee: a change is told GAP seconds after the one before it, or when it is known if that is later. A service is
asked AGAIN seconds after its last answer; while nothing happens there a request waits, which costs nothing.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from console_service.upstream import Tagged, Timelines, Upstream

RETRY: Final = 0.5
"""Seconds until a service that could not be asked is asked again."""
GAP: Final = 0.12
"""Seconds between two changes that are told: a browser needs some of them to show one."""
AGAIN: Final = 0.1
"""Seconds until a service that has answered is asked again: what it does meanwhile comes in one answer, which is there
when the next change is told."""


async def follow(upstream: Upstream, order_id: str, token: str, known: Tagged) -> AsyncGenerator[Timelines, None]:
    """Yield all timelines whenever one of them is another than before, first than those `known`, until closed."""
    found = {service: timeline for service, (_, timeline) in known.items()}
    news = asyncio.Event()

    async def keep(service: str, known: str) -> None:
        while True:
            tag, timeline = await upstream.timeline(service, order_id, token, known)
            if tag != known:
                found[service] = timeline
                news.set()
            known = tag
            await asyncio.sleep(AGAIN if tag else RETRY)

    tasks = [asyncio.create_task(keep(name, tag), name=f"follow {name}") for name, (tag, _) in known.items()]
    clock, next_at = asyncio.get_running_loop().time, 0.0
    try:
        while True:
            await news.wait()
            await asyncio.sleep(next_at - clock())
            news.clear()
            next_at = clock() + GAP
            yield dict(found)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

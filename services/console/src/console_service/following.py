"""Following an order: its four timelines, each from a stream of its service, which has every change.

Guarantee: a change is told GAP seconds after the one before it, or when it is known if that is later.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from console_service.upstream import Silent, Tagged, Timelines, Upstream

log = logging.getLogger(__name__)

RETRY: Final = 0.5
"""Seconds until a service is asked again: it did not answer, or has ended the stream."""
GAP: Final = 0.12
"""Seconds between two changes that are told: a browser needs some of them to show one."""


async def follow(upstream: Upstream, order_id: str, token: str, known: Tagged) -> AsyncGenerator[Timelines, None]:
    """Yield all timelines whenever one of them is another than before, first than those `known`, until closed."""
    found = {service: timeline for service, (_, timeline) in known.items()}
    news = asyncio.Event()

    async def keep(service: str, tag: str) -> None:
        while True:
            try:
                async with aclosing(upstream.changes(service, order_id, token, tag)) as changes:
                    async for change in changes:
                        tag, found[service] = change
                        news.set()
            except Exception as error:
                if not isinstance(error, Silent):
                    log.exception("%s's timeline cannot be followed; it is asked again", service)
                if found[service] is not None:
                    found[service] = None
                    news.set()
                tag = ""
            await asyncio.sleep(RETRY)

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

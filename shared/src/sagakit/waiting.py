"""Waiting for an event with an end.

Not `asyncio.wait_for`: in Python 3.11 it loses a cancellation that comes in the moment in which the event is set, and
whoever stops the waiting task then waits for ever (python/cpython#86296).
"""

import asyncio


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether the event was set within `seconds` (None: however long it takes)."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True

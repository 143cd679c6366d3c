"""Waits for conditions, on a machine that may be busy with other work."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

ENDS: Final = 30.0
"""Seconds. Where a test claims that something ends at all, and not how soon."""


async def until(holds: Callable[[], object], seconds: float = ENDS) -> None:
    """Wait until the condition holds, by polling it."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s"
        await asyncio.sleep(0.005)

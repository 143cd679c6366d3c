"""Waiting for what has to happen, on a machine that may be busy with something else."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

ENDS: Final = 30.0
"""Seconds. Where a test claims that something ends at all, and not how soon."""


async def until(holds: Callable[[], object], seconds: float = ENDS) -> None:
    """Until it holds; what happens in this process, so it is asked again and again."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s"
        await asyncio.sleep(0.005)

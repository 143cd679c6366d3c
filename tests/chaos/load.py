"""The load of a run: Locust's shoppers in a process of their own; their history is what is judged."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

from loadtests.history import FILE as HISTORY
from loadtests.run import invocation
from tests.chaos.settings import FOLDER

LONGER: Final = 300.0
"""Seconds that the shoppers would stay after the planned end: a fault may take longer, and then needs load, too."""

SHOPPERS: Final = "load"
"""The folder, within that of the run, for what Locust itself writes."""

ENDS_WITHIN: Final = 120.0
STARTS_WITHIN: Final = 60.0
REPOSITORY: Final = FOLDER.parents[1]


@dataclass
class Load:
    """A running load."""

    process: asyncio.subprocess.Process
    history: Path

    async def begun(self) -> None:
        """Wait for the first shopper; RuntimeError if Locust ends or takes too long."""
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                while not (self.history.exists() and self._came()):
                    if self.process.returncode is not None:
                        raise RuntimeError(f"Locust ended with status {self.process.returncode} before its first order")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise RuntimeError(f"Locust placed no order within {STARTS_WITHIN:.0f} s") from None

    async def end(self) -> None:
        """Stop the arrivals, and wait until all shoppers have their answers."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(ENDS_WITHIN):
            await self.process.wait()

    def _came(self) -> bool:
        return b'"invoke"' in self.history.read_bytes()


@asynccontextmanager
async def shopping(
    stack: Mapping[str, str], folder: Path, rate: float, seconds: float, seed: int, mix: str = "all"
) -> AsyncIterator[Load]:
    """Shoppers come at `rate` orders a second until `Load.end`; what is left of them ends with the block.

    `folder` is absolute.
    """
    values = {
        "RATE": f"{rate:g}",
        "DURATION": str(ceil(seconds + LONGER)),
        "SEED": str(seed),
        "MIX": mix,
        "USERS": "50",
    }
    values |= {"SHAPE": "constant", "LENIENT": "1"}
    history = folder / HISTORY
    command, environment = invocation(values, stack, folder / SHOPPERS)
    (folder / SHOPPERS).mkdir(parents=True, exist_ok=True)
    with (folder / SHOPPERS / "locust.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **environment, "HISTORY": str(history)},
            cwd=REPOSITORY,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the engine, which heals before it ends
        )
        try:
            yield Load(process, history)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

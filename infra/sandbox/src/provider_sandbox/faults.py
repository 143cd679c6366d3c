"""Faults that an operator can switch on: the provider is slow, fails, or loses its answers.

Guarantee: a failure injected before the effect has none; an answer lost is an effect that was recorded. Every
fault that fires is counted.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sagakit.web.app import Unavailable


class FaultSettings(BaseModel):
    """What is to go wrong; the default is nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: Annotated[float, Field(ge=0, le=600_000, description="Added before each call")] = 0
    error_rate: Annotated[float, Field(ge=0, le=1, description="Share of calls that fail without effect")] = 0
    fail_operations: Annotated[Sequence[str], Field(description="Operations that fail without effect")] = ()
    lose_answers: Annotated[float, Field(ge=0, le=1, description="Share of effects whose answer is lost")] = 0
    seed: Annotated[int | None, Field(description="Makes the choice of calls repeatable")] = None


class Faults:
    """The faults in force, and how often each has fired since they were set."""

    def __init__(self) -> None:
        self.set(FaultSettings())

    def set(self, settings: FaultSettings) -> None:
        """Put these faults in force, in place of those before."""
        self.settings, self.fired = settings, Counter[str]()
        self._random = random.Random(settings.seed)

    async def before(self, operation: str) -> None:
        """Called before the effect: waits, or raises a 503."""
        faults = self.settings
        if faults.latency_ms:
            self.fired["latency_ms"] += 1
            await asyncio.sleep(faults.latency_ms / 1000)
        if operation in faults.fail_operations:
            self.fired["fail_operations"] += 1
            raise Unavailable(f"Injected: {operation} fails.")
        if faults.error_rate and self._random.random() < faults.error_rate:
            self.fired["error_rate"] += 1
            raise Unavailable("Injected: an error.")

    def loses_answer(self) -> bool:
        """Whether the answer to the effect just recorded is to be lost."""
        lost = self.settings.lose_answers > 0 and self._random.random() < self.settings.lose_answers
        self.fired["lose_answers"] += lost
        return lost

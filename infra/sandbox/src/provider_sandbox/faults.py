"""Faults that an operator can set: the provider is slow, fails, or loses its answers.

Guarantee: a call that fails has no effect; a call whose answer is lost has its effect on record. Every fault that
fires is counted.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from sagakit.web.app import Unavailable


class FaultSettings(BaseModel):
    """What goes wrong; by default nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: Annotated[float, Field(ge=0, le=600_000, description="Added before each call")] = 0
    error_rate: Annotated[float, Field(ge=0, le=1, description="Share of calls that fail without effect")] = 0
    fail_operations: Annotated[Sequence[str], Field(description="Operations that fail without effect")] = ()
    lose_answers: Annotated[float, Field(ge=0, le=1, description="Share of effects whose answer is lost")] = 0
    seed: Annotated[int | None, Field(description="Makes the choice of calls repeatable")] = None


class Faults:
    """The faults that are set, and how often each has fired since."""

    def __init__(self) -> None:
        self.set(FaultSettings())

    def set(self, settings: FaultSettings) -> None:
        """Replace the faults that are set, and their counts."""
        self.settings, self.fired = settings, Counter[str]()
        self._random = random.Random(settings.seed)

    async def before(self, operation: str) -> None:
        """Delay the call before its effect, or fail it with a 503 problem."""
        faults = self.settings
        if faults.latency_ms:
            self.fired["latency_ms"] += 1
            await asyncio.sleep(faults.latency_ms / 1000)
        if operation in faults.fail_operations:
            self._fail("fail_operations", f"Injected: {operation} fails.")
        if faults.error_rate and self._random.random() < faults.error_rate:
            self._fail("error_rate", "Injected: an error.")

    def loses_answer(self) -> bool:
        """Decide whether the answer to the effect just recorded is lost."""
        lost = self.settings.lose_answers > 0 and self._random.random() < self.settings.lose_answers
        self.fired["lose_answers"] += lost
        return lost

    def _fail(self, fault: str, detail: str) -> NoReturn:
        self.fired[fault] += 1
        raise Unavailable(detail)

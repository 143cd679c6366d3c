"""Fake faults and a fake stack."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.model import Injection, NotAvailable
from tests.chaos.stack import StackUnderTest

STACK = StackUnderTest("kafka-choreography", Path("nowhere"), {})


@dataclass
class Fake:
    """A fault that breaks nothing for as long as planned. `log`: which faults began and healed, in order."""

    log: list[str] = field(default_factory=list)
    name: str = "fake"
    kind: str = "process"
    felt: bool | None = True
    error: Exception | None = None
    absent: str = ""
    hangs: bool = False

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        if self.absent:
            raise NotAvailable(self.absent)
        return ("order", "payment")

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        injection = Injection(self.name, target, time.time())
        self.log.append(f"{target} breaks")
        try:
            if self.error:
                raise self.error
            await (asyncio.Event().wait() if self.hangs else asyncio.sleep(seconds))
        finally:
            self.log.append(f"{target} heals")
        injection.ended, injection.felt = time.time(), self.felt
        return injection

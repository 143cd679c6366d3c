"""Databases that are stopped immediately: no session ends gracefully, and the log is replayed."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.faults.health import back
from tests.chaos.model import Fault, Injection
from tests.chaos.stack import SERVICES, StackUnderTest


@dataclass(frozen=True, slots=True)
class DatabaseRestart:
    """The server gets SIGQUIT, as by `pg_ctl stop -m immediate`; its supervisor starts it again."""

    name: str = "db-restart"
    kind: str = "process"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return tuple(f"{service}-db" for service in SERVICES)

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        before = (await stack.processes())[target]
        injection = Injection(self.name, target, time.time())
        await asyncio.to_thread(stack.kill, target, signal.SIGQUIT)
        await back(stack, injection, target, before)
        return injection


FAULTS: Final[Mapping[str, Fault]] = {DatabaseRestart().name: DatabaseRestart()}

"""The stack that a chaos run breaks: that of the end-to-end tests, with what faults need besides."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from quartet_stack import api
from sagakit.modes import MODES
from tests.e2e.stack import SERVICES, Stack

__all__ = ["SERVICES", "StackUnderTest"]

LOOK_EVERY: Final = 0.05
BROKERS: Final = {"kafka": "kafka", "temporal": "temporal", "sns_sqs": "ministack", "pubsub": "pubsub"}
"""Substrate -> the process that plays the broker."""


@dataclass
class StackUnderTest(Stack):
    """A stack, natively or in containers.

    `settings` are those it was brought up with; whoever changes the whole stack holds `changing`. `accounted` are the
    ids of dead letters that faults caused on purpose: the audit of the run fails on any other.
    """

    port_offset: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    accounted: set[str] = field(default_factory=set)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def substrate(self) -> str:
        """What carries the messages: temporal, kafka, sns_sqs or pubsub."""
        return str(MODES[self.mode].substrate)

    @property
    def style(self) -> str:
        """`orchestration` or `choreography`."""
        return str(MODES[self.mode].style)

    @property
    def broker(self) -> str:
        """The name of the broker's process."""
        return BROKERS[self.substrate]

    async def processes(self) -> dict[str, int]:
        """Names of the running processes (a replica is `order-1`) to their ids."""
        return await asyncio.to_thread(api.processes, self.folder)

    @property
    def in_containers(self) -> bool:
        """Whether the processes run in containers: their network and files are not those of this process."""
        return self.environment.get("STACK") == "docker"

    async def named(self, *names: str) -> dict[str, int]:
        """The running processes of these names, and the replicas of services of these names, with their ids."""
        running = await self.processes()
        return {one: pid for one, pid in running.items() if one in names or re.sub(r"-\d+$", "", one) in names}

    async def successor(self, name: str, before: int) -> int:
        """Wait until another process has taken the place of `before`; returns its id. Callers set the deadline."""
        while True:
            pid = (await self.processes()).get(name, before)
            if pid != before:
                return pid
            await asyncio.sleep(LOOK_EVERY)

    async def change(self, mode: str | None = None, **settings: str) -> None:
        """Bring the stack up with another mode or other settings, and keep its data. Raises StackError."""
        all_settings = {**self.settings, **settings}
        async with self.changing:
            mode = mode or self.mode
            self.environment = await asyncio.to_thread(api.up, mode, self.folder, self.port_offset, all_settings)
            self.mode, self.settings = mode, all_settings

    async def call(
        self, method: str, path: str, service: str = "order", body: Any = None, seconds: float = 10.0
    ) -> Any:
        """Send an operator's request, retried while there is no answer for at most `seconds`; returns the JSON."""
        async with asyncio.timeout(seconds):
            answer = await self.insist(method, path, self.headers("root", "admin"), body, service)
        answer.raise_for_status()
        return answer.json()

"""A standby is promoted under load, as an operator does when a database is lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from quartet_stack import api
from quartet_stack.docker.standby import ContainerLayout
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.servers import standby
from tests.chaos.faults.health import BACK_WITHIN, answers
from tests.chaos.model import Fault, Injection, NotAvailable
from tests.chaos.stack import StackUnderTest


@dataclass(frozen=True, slots=True)
class Promote:
    """`make promote`, half of the time after the primary was killed. It ends when the old primary follows the new.

    The run also shows that nothing that was answered is lost with the old primary, whose cluster is deleted.
    """

    name: str = "promote"
    kind: str = "process"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        named = stack.environment.get("DB_STANDBY", "off")
        if named == "off":
            raise NotAvailable("no database of this stack has a standby; it needs DB_STANDBY=all")
        return tuple(f"{service}-db" for service in named.split(","))

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        service = target.removesuffix("-db")
        killed = dice.random() < 0.5
        injection = Injection(self.name, target, time.time(), felt=False)
        async with stack.changing:
            before = _primary(stack, service)
            if killed:
                await asyncio.to_thread(stack.kill, before)
            await _to_its_end(stack, service)
        async with asyncio.timeout(BACK_WITHIN):
            await answers(stack, target)
        after = _primary(stack, service)
        injection.ended, injection.felt = time.time(), after != before
        how = "killed, then replaced" if killed else "replaced"
        injection.detail = f"{before} was {how} by {after} in {injection.ended - injection.began:.2f} s"
        return injection


async def _to_its_end(stack: StackUnderTest, service: str) -> None:
    """Finish a promotion that has begun, also when the run is cancelled: it cannot be undone."""
    task = asyncio.ensure_future(asyncio.to_thread(api.promote, service, stack.folder))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
    except StackError as error:
        raise NotAvailable(str(error)) from None


def _primary(stack: StackUnderTest, service: str) -> str:
    place = ContainerLayout(stack.folder) if stack.in_containers else Layout(stack.folder)
    return f"{service}-{standby.mark(place, service).primary}"


FAULTS: Final[Mapping[str, Fault]] = {Promote().name: Promote()}

"""Named failpoints: places where this process can be made to die, to fail or to stall, the nth time it passes.

They can be set only with FAULT_INJECTION=on. Until one is set, passing costs a look at an empty dictionary.
"""

import asyncio
import os
import signal
from dataclasses import dataclass, replace
from typing import Final, Literal

POINTS: Final = (
    "before-handler",
    "before-commit",
    "after-commit",
    "before-publish",
    "after-publish",
    "before-ack",
    "before-call",
    "after-call",
)


class FailpointHit(Exception):
    """Raised by a failpoint whose action is `fail`."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """`action` happens once, the `hit`th time that `point` is passed from now on; a stall takes `seconds`."""

    point: str
    action: Literal["kill", "fail", "stall"]
    hit: int = 1
    seconds: float = 0.0


class Failpoints:
    """The failpoints of this process, and how often each has fired."""

    def __init__(self) -> None:
        self.armed: dict[str, Failpoint] = {}
        self.fired: dict[str, int] = {}

    def set(self, failpoints: list[Failpoint]) -> None:
        """Replace all failpoints that are set."""
        self.armed = {failpoint.point: failpoint for failpoint in failpoints}

    async def pass_by(self, point: str) -> None:
        """Await this at the point of that name.

        Raises:
            FailpointHit: The failpoint is set to fail now.
        """
        if not self.armed or (failpoint := self.armed.get(point)) is None:
            return
        if failpoint.hit > 1:
            self.armed[point] = replace(failpoint, hit=failpoint.hit - 1)
            return
        del self.armed[point]
        self.fired[point] = self.fired.get(point, 0) + 1
        if failpoint.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if failpoint.action == "fail":
            raise FailpointHit(point)
        await asyncio.sleep(failpoint.seconds)


failpoints: Final = Failpoints()

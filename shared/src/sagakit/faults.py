"""Named failpoints: places where this process can be made to die, to fail or to stall, on the nth time it passes.

Off unless FAULT_INJECTION=on, and then nothing but a dictionary look-up until one is set.
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
    """Raised by a failpoint that was told to fail."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """`action` happens on the `hit`th passage from now; `seconds` is how long a stall takes."""

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
        self.armed = {one.point: one for one in failpoints}

    async def pass_by(self, point: str) -> None:
        """To be awaited at the point of that name."""
        if not self.armed or (set_ := self.armed.get(point)) is None:
            return
        if set_.hit > 1:
            self.armed[point] = replace(set_, hit=set_.hit - 1)
            return
        del self.armed[point]
        self.fired[point] = self.fired.get(point, 0) + 1
        if set_.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if set_.action == "fail":
            raise FailpointHit(point)
        await asyncio.sleep(set_.seconds)


failpoints: Final = Failpoints()

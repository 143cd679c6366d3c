"""Named failpoints: places where this process can be made to die, to fail or to stall, the nth time it passes.

They can be set only with FAULT_INJECTION=on. Until one is set, passing costs a look at an empty dictionary.
"""

import asyncio
import os
import signal
import subprocess
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

Action = Literal["kill", "pause", "stall", "fail"]
"""What a failpoint does: end the process, stop all of it for a time, wait only there, or raise an error."""


class FailpointHit(Exception):
    """Raised by a failpoint whose action is `fail`."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """`action` happens once, the `hit`th time that `point` is passed from now on; a pause or stall takes `seconds`."""

    point: str
    action: Action
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
        if failpoint.action == "pause":
            pause(failpoint.seconds)
            return
        await asyncio.sleep(failpoint.seconds)


def pause(seconds: float) -> None:
    """Stop this process; a helper continues it after `seconds`, and goes on doing so for a second.

    So the process goes on even if the helper begins before it has stopped.
    """
    go_on = f"for _ in 1 2 3 4 5 6 7 8 9 10; do kill -CONT {os.getpid()} 2>/dev/null || exit; sleep 0.1; done"
    script = f"sleep {seconds:.3f}; {go_on}"
    subprocess.Popen(("/bin/sh", "-c", script), start_new_session=True)
    os.kill(os.getpid(), signal.SIGSTOP)


failpoints: Final = Failpoints()

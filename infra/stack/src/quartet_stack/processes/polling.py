"""Waiting for what another program tells only when it is asked."""

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    """Ask every so many seconds until the condition holds, or for `seconds`; whether it held.

    supervisord, a container and a process that is not our child have to be asked.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)  # none of them announces a change
    return True

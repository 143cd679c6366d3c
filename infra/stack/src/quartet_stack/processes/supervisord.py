"""supervisord with two changes: it checks its processes ten times a second, and waits at most a second for a restart.

Unchanged, it notices the end of a process within a second, and waits a second longer after each failed start, without
a limit. Here a killed service has to be back within two or three seconds, and a service that cannot start yet (its
broker is down) is retried soon, but not so often that it takes the processor from the others.
"""

from __future__ import annotations

import time
from typing import Any

from supervisor import process, supervisord
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates

POLL_SECONDS = 0.1
MAX_RESTART_DELAY = 1.0  # seconds


def main() -> None:
    """Run supervisord with its own command line options."""
    change_state = process.Subprocess.change_state
    construct = ServerOptions.__init__

    def change_state_and_limit_delay(self: Any, new_state: int, expected: bool = True) -> Any:
        changed = change_state(self, new_state, expected)
        if new_state == ProcessStates.BACKOFF:
            self.delay = min(self.delay, time.time() + MAX_RESTART_DELAY)
        return changed

    def construct_and_poll_often(self: Any, *arguments: Any, **keywords: Any) -> None:
        construct(self, *arguments, **keywords)
        poll = self.poller.poll
        self.poller.poll = lambda timeout: poll(min(timeout, POLL_SECONDS))

    process.Subprocess.change_state = change_state_and_limit_delay
    ServerOptions.__init__ = construct_and_poll_often
    supervisord.main()


if __name__ == "__main__":
    main()

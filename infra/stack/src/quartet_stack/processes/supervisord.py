"""supervisord with two changes: it looks around ten times a second, and it never waits long before a restart.

As it comes, it notices a death within a second, and waits a second longer after each failed start without
an end. A killed service has to be back within two or three seconds, and a service that cannot start yet (its
broker is down) has to be tried again soon, but not so often that it takes the processor from the others.
"""

from __future__ import annotations

import time
from typing import Any

from supervisor import process, supervisord
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates

LOOK_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 1.0


def main() -> None:
    """Become supervisord; takes its command line."""
    change_state = process.Subprocess.change_state
    construct = ServerOptions.__init__

    def change_state_and_hurry(self: Any, new_state: int, expected: bool = True) -> Any:
        changed = change_state(self, new_state, expected)
        if new_state == ProcessStates.BACKOFF:
            self.delay = min(self.delay, time.time() + LONGEST_WAIT_SECONDS)
        return changed

    def construct_and_look_often(self: Any, *arguments: Any, **keywords: Any) -> None:
        construct(self, *arguments, **keywords)
        poll = self.poller.poll
        self.poller.poll = lambda timeout: poll(min(timeout, LOOK_SECONDS))

    process.Subprocess.change_state = change_state_and_hurry
    ServerOptions.__init__ = construct_and_look_often
    supervisord.main()


if __name__ == "__main__":
    main()

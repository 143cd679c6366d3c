"""A rolling restart: one replica of a service at a time, each once the previous one is ready."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.processes.readiness import HOST, INTERVAL, PROBE_TIMEOUT
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.settings import stack_environment

Report = Callable[[str], None]


def restart(place: Layout, services: Sequence[str], report: Report = lambda line: None) -> None:
    """Restart the replicas of a native stack, the services side by side.

    Raises:
        StackError: A service does not run (then nothing was restarted), or a replica did not become ready in time
            (then the rest of its service was not restarted).
    """
    environment = stack_environment(place.root)
    seconds = float(environment["READY_TIMEOUT"])
    replicas = [process for process in Supervisor(place).processes() if process.program in services]
    if missing := set(services) - {process.program for process in replicas}:
        raise StackError(f"no process of {', '.join(sorted(missing))} is running; start the stack with: make up")

    def roll(service: str) -> None:
        for replica in (process.name for process in replicas if process.program == service):
            supervisor = Supervisor(place)
            supervisor.restart(replica)
            _wait_ready(supervisor, replica, int(environment[f"{service.upper()}_PORT"]), seconds)
            report(f"{replica} is ready")

    with ThreadPoolExecutor(len(services)) as pool:
        list(pool.map(roll, services))


def _wait_ready(supervisor: Supervisor, replica: str, port: int, seconds: float) -> None:
    """Wait until this very process says that it is ready: replicas share a port, so any of them may answer.

    Raises:
        StackError: It did not within `seconds`; the message has its last answer.
    """
    problem, deadline = "no answer", time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid = next((process.pid for process in supervisor.processes() if process.name == replica), 0)
        connection = HTTPConnection(HOST, port, timeout=PROBE_TIMEOUT)
        try:
            connection.request("GET", "/health/ready", headers={"Connection": "close"})
            answer = json.loads(connection.getresponse().read())
        except (OSError, HTTPException, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            if answer.get("pid") == pid:  # else another replica answered; a later connection may reach this one
                if answer.get("status") == "ready":
                    return
                problem = str(answer)
        finally:
            connection.close()
        time.sleep(INTERVAL)  # a replica that starts announces nothing
    raise StackError(f"{replica} is not ready {seconds:.0f} s after its restart: {problem}; for its log: make logs")

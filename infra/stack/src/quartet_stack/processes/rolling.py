"""`make restart`: services are restarted one replica at a time, so that with several of them nobody notices."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

from quartet_stack.docker import containers as docker
from quartet_stack.errors import StackError, usage
from quartet_stack.layout import Layout, layout
from quartet_stack.processes.programs import STOP_SECONDS
from quartet_stack.processes.readiness import HOST, INTERVAL, PROBE_TIMEOUT
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.settings import SERVICES, stack_environment

Report = Callable[[str], None]


def main(environ: Mapping[str, str]) -> None:
    """Restart the services that `SERVICE` names (all four by default), each replica when the one before is ready."""
    wanted = environ.get("SERVICE", "").replace(",", " ").split() or list(SERVICES)
    if unknown := [name for name in wanted if name not in SERVICES]:
        raise usage(f"SERVICE={unknown[0]} cannot be restarted; valid: {', '.join(SERVICES)}")
    began = time.monotonic()
    place = layout(environ)
    (_containers if docker.running(place) else restart)(place, wanted, lambda line: print(f"  {line}", flush=True))
    print(f"restarted in {time.monotonic() - began:.1f} s: {', '.join(wanted)}")


def restart(place: Layout, services: Sequence[str], report: Report = lambda line: None) -> None:
    """A rolling restart of a native stack, of all `services` side by side; `StackError` if a replica stays away."""
    environment = stack_environment(place.root)
    seconds = float(environment["READY_TIMEOUT"])
    replicas = [one for one in Supervisor(place).processes() if one.program in services]
    if missing := set(services) - {one.program for one in replicas}:
        raise StackError(f"{', '.join(sorted(missing))} does not run; start the stack with: make up")

    def roll(service: str) -> None:
        for replica in (one.name for one in replicas if one.program == service):
            supervisor = Supervisor(place)
            supervisor.restart(replica)
            _ready(supervisor, replica, int(environment[f"{service.upper()}_PORT"]), seconds)
            report(f"{replica} is ready")

    with ThreadPoolExecutor(len(services)) as pool:
        list(pool.map(roll, services))


def _ready(supervisor: Supervisor, replica: str, port: int, seconds: float) -> None:
    """Until that very process says that it is ready: replicas share a port, and any of them may answer."""
    said, deadline = "no answer", time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid = next((one.pid for one in supervisor.processes() if one.name == replica), 0)
        connection = HTTPConnection(HOST, port, timeout=PROBE_TIMEOUT)
        try:
            connection.request("GET", "/health/ready", headers={"Connection": "close"})
            answer = json.loads(connection.getresponse().read())
        except (OSError, HTTPException, ValueError) as error:
            said = f"{type(error).__name__}: {error}"
        else:
            if answer.get("pid") == pid:  # else another one answered: a later connection may reach this one
                if answer.get("status") == "ready":
                    return
                said = str(answer)
        finally:
            connection.close()
        time.sleep(INTERVAL)
    raise StackError(f"{replica} is not ready {seconds:.0f} s after its restart: {said}; see make logs")


def _containers(place: Layout, services: Sequence[str], report: Report) -> None:
    """The same in containers: the one with the port, then its workers, each until it is healthy again."""
    seconds = float(stack_environment(place.root)["READY_TIMEOUT"])
    for service in services:
        for name in docker.containers(place, service, f"{service}-worker"):
            _docker("restart", "--timeout", str(STOP_SECONDS), name)
            deadline = time.monotonic() + seconds
            while (health := _docker("inspect", "--format", "{{.State.Health.Status}}", name)) != "healthy":
                if time.monotonic() > deadline:
                    raise StackError(f"{name} is {health} {seconds:.0f} s after its restart; see make logs")
                time.sleep(INTERVAL)
            report(f"{name} is healthy")


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"docker {arguments[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()

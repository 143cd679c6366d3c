"""The processes of a stack in containers: the counterpart of `processes.supervisor`, which Docker's restart policy is.

Names are those of a native stack: `order`, `order-db`, `kafka`, and `order-2` for the container `order-worker-1`.
Process ids are those of this machine. Where the engine runs elsewhere, as in Docker Desktop, there are none.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from quartet_stack.docker.compose import written_settings
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.processes.programs import STOP_SECONDS
from quartet_stack.processes.supervisor import Process

LABEL: Final = "com.docker.compose"
WORKER: Final = "-worker"
INIT: Final = "docker-init"
PROC: Final = Path("/proc")


@dataclass(frozen=True)
class Container:
    """One container. `process`: its first process that is not Docker's init, see `Process`; `log`: Docker's file."""

    id: str
    process: Process
    log: Path


class Engine:
    """The containers of one stack."""

    def __init__(self, layout: Layout) -> None:
        self._project = written_settings(layout)["COMPOSE_PROJECT_NAME"]

    def processes(self) -> list[Process]:
        """The process of each container, running or not."""
        return [container.process for container in self._containers()]

    def stop(self, name: str) -> None:
        """Stop a container gracefully; it stays stopped until `start`. KeyError if there is none."""
        self._do("stop", "--time", str(STOP_SECONDS), name=name)

    def start(self, name: str) -> None:
        """Start a stopped container, without waiting until it is healthy. KeyError if there is none."""
        self._do("start", name=name)

    def restart(self, name: str) -> None:
        """Stop a container gracefully and start it again. KeyError if there is none."""
        self._do("restart", "--time", str(STOP_SECONDS), name=name)

    def log(self, name: str) -> Path:
        """Docker's log file of a container; KeyError if there is none."""
        return self._named(name)[0].log

    def _do(self, *words: str, name: str) -> None:
        docker(*words, *(container.id for container in self._named(name)))

    def _named(self, name: str) -> list[Container]:
        found = [one for one in self._containers() if name in (one.process.name, one.process.program)]
        if not found:
            raise KeyError(name)
        return found

    def _containers(self) -> list[Container]:
        ids = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}.project={self._project}")
        return [_container(one) for one in json.loads(docker("inspect", *ids.split()))] if ids else []


def _container(described: Any) -> Container:
    """A container from what `docker inspect` says of it."""
    labels, state = described["Config"]["Labels"], described["State"]
    service, number = labels[f"{LABEL}.service"], int(labels[f"{LABEL}.container-number"])
    program = service.removesuffix(WORKER)
    name = f"{program}-{number + 1}" if service.endswith(WORKER) else program
    pid = _own(described["Id"], state["Pid"]) if state["Running"] else 0
    return Container(described["Id"], Process(name, program, state["Status"], pid, 0), Path(described["LogPath"]))


def _own(container: str, pid: int) -> int:
    """The first process of a container that is not Docker's init; 0 if it ended, or runs on another machine."""
    process = PROC / str(pid)
    try:
        if container not in (process / "cgroup").read_text():
            return 0
        if (process / "comm").read_text().strip() != INIT:
            return pid
        children = (process / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return 0
    return int(children[0]) if children else 0


def docker(*arguments: str) -> str:
    """What `docker` prints for these arguments.

    Raises:
        StackError: It failed; the message has the end of its standard error.
    """
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"docker {arguments[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()

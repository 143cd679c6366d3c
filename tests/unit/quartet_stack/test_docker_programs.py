"""The processes of containers, as a `docker` that is a script describes them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from quartet_stack import api
from quartet_stack.docker import programs
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.secrets_store import write_private

DOCKER = """#!/bin/sh
echo "$@" >> {folder}/calls
[ -e {folder}/broken ] && echo "no engine" >&2 && exit 1
case "$1" in
ps) cat {folder}/ids ;;
inspect) cat {folder}/described ;;
esac
"""


def described(identity: str, service: str, pid: int, number: int = 1, status: str = "running") -> dict[str, Any]:
    labels = {"com.docker.compose.service": service, "com.docker.compose.container-number": str(number)}
    return {
        "Id": identity,
        "LogPath": f"/logs/{identity}.log",
        "Config": {"Labels": labels},
        "State": {"Running": status == "running", "Status": status, "Pid": pid},
    }


def process(folder: Path, pid: int, container: str, name: str, children: str = "") -> None:
    place = folder / "proc" / str(pid)
    (place / "task" / str(pid)).mkdir(parents=True)
    (place / "cgroup").write_text(f"0::/docker/{container}\n")
    (place / "comm").write_text(f"{name}\n")
    (place / "task" / str(pid) / "children").write_text(children)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack in containers: a database, a service with a worker, a broker that ended, and one on another machine."""
    place = Layout(tmp_path / "stack")
    for needed in (place.run, place.data):
        needed.mkdir(parents=True)
    write_private(place.run, "docker.json", json.dumps({"mode": "kafka-choreography"}))
    write_private(place.data, "compose.env", "COMPOSE_PROJECT_NAME='quartet-abc'\n")
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER.format(folder=tmp_path))
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(programs, "PROC", tmp_path / "proc")
    (tmp_path / "ids").write_text("aaa\nbbb\n")
    containers = [
        described("aaa", "order-db", 41),
        described("bbb", "order", 51),
        described("ccc", "order-worker", 61),
        described("ddd", "kafka", 0, status="exited"),
        described("eee", "payment", 71),
    ]
    (tmp_path / "described").write_text(json.dumps(containers))
    process(tmp_path, 41, "aaa", "postgres", children="42 43")
    process(tmp_path, 51, "bbb", "docker-init", children="52 ")
    process(tmp_path, 61, "ccc", "docker-init", children="62")
    process(tmp_path, 71, "another", "docker-init", children="72")
    return tmp_path


def test_processes_have_the_names_of_native_ones_and_are_not_dockers_init(folder: Path) -> None:
    assert api.processes(folder / "stack") == {"order-db": 41, "order": 52, "order-2": 62}
    asked = (folder / "calls").read_text().splitlines()
    assert asked[0].endswith("label=com.docker.compose.project=quartet-abc")
    assert asked[1] == "inspect aaa bbb"


def test_what_is_named_is_stopped_started_and_restarted_with_its_replicas(folder: Path) -> None:
    place = folder / "stack"
    api.stop("order", place)
    api.start("order-2", place)
    api.restart("kafka", place)
    acts = [line for line in (folder / "calls").read_text().splitlines() if line.split()[0] not in ("ps", "inspect")]
    assert [act.split()[0] for act in acts] == ["stop", "start", "restart"]
    assert acts[0].endswith(" bbb ccc")
    assert acts[1] == "start ccc"
    assert acts[2].endswith(" ddd")
    with pytest.raises(KeyError, match="shipping"):
        api.stop("shipping", place)


def test_a_signal_goes_to_the_process_on_this_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    assert api.kill("order", 9, folder / "stack") == 2
    assert sent == [(52, 9), (62, 9)]
    with pytest.raises(KeyError):  # it runs, but elsewhere
        api.kill("payment", 9, folder / "stack")


def test_the_log_is_dockers_or_that_of_the_run_folder(folder: Path) -> None:
    assert api.log("order-db", folder / "stack") == Path("/logs/aaa.log")
    assert api.log("order-db", folder / "native") == Layout(folder / "native").logs / "order-db.log"


def test_an_engine_that_does_not_answer_is_an_error(folder: Path) -> None:
    (folder / "broken").touch()
    with pytest.raises(StackError, match="docker ps failed: no engine"):
        api.processes(folder / "stack")

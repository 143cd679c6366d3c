"""A service that was taken over, on a stack that root started: as its user nothing of the others can be had."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from quartet_stack.layout import Layout
from quartet_stack.ownership import users
from quartet_stack.ownership.privileges import run_user
from quartet_stack.processes.supervisor import Supervisor
from tests.e2e.stack import Stack
from tests.e2e.test_switching import ONE_OF_A_CARRIER

# Says what it could do, one word a line. It is a shell's: what a taken-over service can do without any help.
PROBE = """
for path in $READ; do
    if head -c 1 -- "$path" >/dev/null 2>&1 || ls -- "$path"/ >/dev/null 2>&1; then echo "read $path"; fi
done
for path in $WRITE; do
    if (: >>"$path") 2>/dev/null; then echo "wrote $path"; fi
    if [ -d "$path" ] && touch -- "$path/planted" 2>/dev/null; then echo "wrote into $path"; fi
    if rm -- "$path" 2>/dev/null || mv -- "$path" "$path.aside" 2>/dev/null; then echo "took $path away"; fi
done
for pid in $ALIVE; do if kill -0 "$pid" 2>/dev/null; then echo "may signal $pid"; fi; done
CONNECT='import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])'
if [ -n "$SOCKET" ] && /usr/bin/env python3 -c "$CONNECT" "$SOCKET" 2>/dev/null; then echo "reached supervisord"; fi
grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status | grep -v '0000000000000000$'
echo done
"""


def suits(stack: str, **_: object) -> bool:
    return stack in ONE_OF_A_CARRIER


def probe(program: str | None, **asked: str) -> list[str]:
    """What the user of a program could do; None asks for root."""
    done = subprocess.run(
        [*(run_user(program).command() if program else []), "/bin/sh", "-c", PROBE],
        env={"PATH": "/usr/bin:/bin", "READ": "", "WRITE": "", "ALIVE": "", "SOCKET": "", **asked},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    *could, last = done.stdout.split("\n")[:-1]
    assert last == "done", done.stderr
    return could


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        missing = "MISSING, so nothing of it was tested: root, whose stacks have a user for each program"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture
def running(as_root: None, stack: Stack) -> Mapping[str, int]:
    """Each program that runs, with the id of a process of it."""
    return {one.program: one.pid for one in Supervisor(Layout(stack.folder)).processes() if one.pid}


def private(place: Layout, program: str, pid: int) -> list[Path]:
    """What only a program itself may see; it is there."""
    log = next(place.logs.glob(f"{program}*.log"))
    data = [place.data / program, place.data / "postgres" / program.removesuffix("-db")]
    own = [path for path in data if path.is_dir() and (path.parent == place.data or program.endswith("-db"))]
    found = [place.program_secrets / program, place.scripts / program, log, *own]
    return [*found, Path(f"/proc/{pid}/environ"), Path(f"/proc/{pid}/mem"), Path(f"/proc/{pid}/cwd")]


def test_nothing_of_another_program_can_be_read_or_changed(stack: Stack, running: Mapping[str, int]) -> None:
    place = Layout(stack.folder)
    shared = [place.secrets, place.record, place.run / "supervisord.conf", place.logs, place.run, place.data]
    assert all(path.exists() for path in shared)
    theirs = {program: private(place, program, pid) for program, pid in running.items()}
    for program in running:
        others = [path for other, paths in theirs.items() if other != program for path in paths]
        written = [*shared, *others, place.scripts / program, place.supervisor_socket]
        could = probe(
            program,
            READ=" ".join(map(str, [*shared, *others])),
            WRITE=" ".join(str(path) for path in written if path.parts[1] != "proc"),
            ALIVE=" ".join(str(pid) for other, pid in running.items() if other != program),
            SOCKET=str(place.supervisor_socket),
        )
        assert could == [], f"what {users.name_of(program)} could do"


def test_what_is_a_programs_own_is_found_by_the_same_questions(stack: Stack, running: Mapping[str, int]) -> None:
    """Else the test above would not see it with the others either."""
    place = Layout(stack.folder)
    for program, pid in running.items():
        own = [path for path in private(place, program, pid) if path.parent != place.logs and path.name != "mem"]
        secrets = place.program_secrets / program
        could = probe(program, READ=" ".join(map(str, own)), WRITE=str(secrets), ALIVE=str(pid))
        assert could == [*(f"read {path}" for path in own), f"wrote {secrets}", f"may signal {pid}"]
    assert "reached supervisord" in probe(None, SOCKET=str(place.supervisor_socket))


def test_a_program_has_its_own_secrets_and_those_alone(stack: Stack, running: Mapping[str, int]) -> None:
    place = Layout(stack.folder)
    held = {program: (place.program_secrets / program).read_text() for program in running}
    for name in ("order", "payment", "inventory", "shipping"):
        url = stack.environment[f"{name.upper()}_DATABASE_URL"]
        assert [program for program, text in held.items() if url in text] == [name]
    assert {program for program, text in held.items() if "SEAL_KEY_SHIPPING" in text} == {"order", "shipping"}
    for program in running:  # a command line can be read by everybody
        words = Path(f"/proc/{running[program]}/cmdline").read_text()
        secrets = [line.split("=", 1)[1] for line in held[program].splitlines() if "AWS_" not in line]
        assert not any(secret in words for secret in secrets)


def test_only_supervisord_is_root(stack: Stack, running: Mapping[str, int]) -> None:
    supervisor = Supervisor(Layout(stack.folder)).pid()
    names, deadline = dict[int, str](), time.monotonic() + 10
    while not names and time.monotonic() < deadline:
        names = users.processes()
    family = {supervisor}
    parents = {int(path.name): _parent(path) for path in Path("/proc").glob("[0-9]*")}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    for pid in family - {supervisor}:
        owner = Path(f"/proc/{pid}")
        assert not owner.exists() or owner.stat().st_uid != 0, (owner / "cmdline").read_text()
    assert {names.get(pid) for pid in running.values()} == {users.name_of(program) for program in running}


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0

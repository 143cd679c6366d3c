"""What supervisord is told, and the scripts it runs."""

import configparser
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from quartet_stack.layout import Layout
from quartet_stack.ownership import folders
from quartet_stack.ownership.privileges import RunUser
from quartet_stack.processes.programs import Program, configuration, script, write_scripts
from quartet_stack.processes.readiness import Check
from tests.unit.quartet_stack.conftest import STRANGER

ME = RunUser("me")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program("order", "service", ("printenv", "GREETING"), tmp_path, Check("tcp", 1), {"GREETING": "it's $HOME"})


@pytest.fixture
def place(open_tmp_path: Path) -> Layout:
    layout = Layout(open_tmp_path)
    folders.prepare(layout, print)
    return layout


def test_a_script_is_the_program_with_its_environment_however_it_is_spelled(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(script(Layout(tmp_path), program, ME))
    done = subprocess.run(["sh", str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "it's $HOME\n"


def test_secrets_stand_in_a_file_of_their_own_and_arrive(program: Program, place: Layout) -> None:
    given = {"GREETING": "hello", "JWT_SECRET": "it's $SECRET"}
    spoken = replace(program, environment=given, command=("sh", "-c", "env"), directory=Path("/"))
    write_scripts(place, [spoken])
    assert "SECRET" not in (place.scripts / "order").read_text()
    done = subprocess.run([place.scripts / "order"], capture_output=True, text=True, check=True)
    assert {"GREETING=hello", "JWT_SECRET=it's $SECRET"} <= {*done.stdout.splitlines()}


def test_only_what_differs_gets_another_digest(program: Program, place: Layout) -> None:
    other = replace(program, name="payment")
    before = write_scripts(place, [program, other])
    after = write_scripts(place, [replace(program, environment={"GREETING": "bye"}), other])
    assert before["order"] != after["order"]
    assert before["payment"] == after["payment"]
    newer_code = write_scripts(place, [replace(program, fingerprint="2"), other])
    assert newer_code["order"] not in (before["order"], after["order"])
    other_secret = write_scripts(place, [replace(program, environment={"JWT_SECRET": "s"}), other])
    assert write_scripts(place, [replace(program, environment={"JWT_SECRET": "t"}), other]) != other_secret


def test_scripts_and_secrets_are_the_users_to_read_and_nobody_elses(program: Program, place: Layout) -> None:
    write_scripts(place, [program])
    found, secrets = (place.scripts / "order").stat(), (place.program_secrets / "order").stat()
    if os.geteuid() == 0:  # what the program's user could change would be what it runs the next time
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, STRANGER, 0o750)
    else:
        assert found.st_mode & 0o777 == 0o700
    assert (secrets.st_uid, secrets.st_mode & 0o777) == (STRANGER if os.geteuid() == 0 else os.geteuid(), 0o600)


def test_the_script_of_a_program_that_is_gone_is_deleted(program: Program, place: Layout) -> None:
    write_scripts(place, [program])
    write_scripts(place, [replace(program, name="payment")])
    for folder in (place.scripts, place.program_secrets):
        assert [path.name for path in folder.iterdir()] == ["payment"]


def test_supervisord_starts_each_program_as_its_user(program: Program, tmp_path: Path) -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(configuration(Layout(tmp_path), [program], {"order": "d"}))
    wanted = "stranger" if os.geteuid() == 0 else None
    assert parser["program:order"].get("user") == wanted


def test_the_configuration_restarts_for_ever_and_kills_whole_groups(program: Program, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "100% full")
    parser = configparser.RawConfigParser()
    parser.read_string(configuration(layout, [replace(program, replicas=3)], {"order": "d"}))
    section = parser["program:order"]
    assert (section["numprocs"], section["autorestart"], section["killasgroup"]) == ("3", "true", "true")
    assert section["process_name"] == "%(program_name)s-%(process_num)d"
    assert "100%% full" in section["stdout_logfile"]


def test_a_socket_path_that_is_too_long_moves_to_the_temporary_folder() -> None:
    place = Path("/some/checkout")
    assert Layout(place).supervisor_socket.parent == place / "run"
    deep = Layout(place / ("d" * 100))
    assert len(str(deep.supervisor_socket)) < 100
    assert deep.supervisor_socket != Layout(place / ("e" * 100)).supervisor_socket

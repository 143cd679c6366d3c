"""What supervisord is told, and the scripts it runs."""

import configparser
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from native_stack.layout import Layout
from native_stack.privileges import RunUser
from native_stack.programs import Program, configuration, script, write_scripts
from native_stack.readiness import Check

ME = RunUser("me")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program("order", "service", ("printenv", "GREETING"), tmp_path, Check("tcp", 1), {"GREETING": "it's $HOME"})


def test_a_script_is_the_program_with_its_environment_however_it_is_spelled(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(script(program, ME))
    done = subprocess.run(["sh", str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "it's $HOME\n"


def test_only_what_differs_gets_another_digest(program: Program, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    other = replace(program, name="payment")
    before = write_scripts(layout, [program, other], ME)
    after = write_scripts(layout, [replace(program, environment={"GREETING": "bye"}), other], ME)
    assert before["order"] != after["order"]
    assert before["payment"] == after["payment"]
    newer_code = write_scripts(layout, [replace(program, fingerprint="2"), other], ME)
    assert newer_code["order"] not in (before["order"], after["order"])


def test_scripts_hold_secrets_so_others_cannot_read_them(program: Program, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write_scripts(layout, [program], ME)
    assert (layout.scripts / "order").stat().st_mode & 0o777 == 0o700


def test_the_script_of_a_program_that_is_gone_is_deleted(program: Program, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write_scripts(layout, [program], ME)
    write_scripts(layout, [replace(program, name="payment")], ME)
    assert [path.name for path in layout.scripts.iterdir()] == ["payment"]


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

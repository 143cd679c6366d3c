"""The users of programs: created once, and removed only by us and only if no program of theirs runs."""

import grp
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from quartet_stack.commands import uninstall
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership import folders, privileges, users
from quartet_stack.settings import SERVICES
from quartet_stack.stack import SUBSTRATES
from tests.unit.quartet_stack.conftest import needs_root

# what the other tests of this folder have replaced
REPLACED = {name: getattr(users, name) for name in ("exists", "ensure", "entry", "group")}


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, strangers: None) -> str:
    """Real users with another prefix than those of the stacks on this machine; returns the prefix."""
    for name, function in REPLACED.items():
        monkeypatch.setattr(users, name, function)
    prefix = f"qt{os.getpid()}"
    monkeypatch.setattr(users, "PREFIX", prefix)
    return prefix


@pytest.fixture
def made(real: str) -> Iterator[list[str]]:
    yield users.ensure()
    users.remove()


def test_every_program_of_every_mode_has_a_user() -> None:
    carriers = {"ministack" if name == "sns_sqs" else name for name in SUBSTRATES}
    databases = {f"{name}-{server}" for name in SERVICES for server in ("db", "standby")}
    others = {"provider", "console", "auditor", "toxiproxy", "temporal-db"}
    assert {*users.PROGRAMS} == {*SERVICES, *databases, *carriers, *others}
    assert all(len(users.name_of(program)) <= 32 for program in users.PROGRAMS), "longer names are refused"


@needs_root
def test_users_are_created_once_cannot_log_in_and_share_a_group(made: list[str]) -> None:
    assert len(made) == len(users.PROGRAMS)
    assert users.ensure() == []
    entries = [users.entry(program) for program in users.PROGRAMS]
    assert len({entry.pw_uid for entry in entries} - {0}) == len({entry.pw_gid for entry in entries}) == len(entries)
    assert {entry.pw_shell for entry in entries} == {users.NO_SHELL}
    assert {*grp.getgrgid(users.group()).gr_mem} == {*made}
    said = subprocess.run([*privileges.run_user("order").command(), "id"], capture_output=True, text=True, check=True)
    assert f"uid={entries[0].pw_uid}({made[0]})" in said.stdout
    assert f"groups={entries[0].pw_gid}({made[0]}),{users.group()}(" in said.stdout


@needs_root
def test_uninstall_refuses_while_a_program_runs_and_then_removes_everything(
    made: list[str], open_tmp_path: Path
) -> None:
    place, told = Layout(open_tmp_path / "stack"), list[str]()
    folders.prepare(place, told.append)
    with subprocess.Popen([*privileges.run_user("kafka").command(), "sleep", "60"]) as running:
        try:
            while users.processes().get(running.pid) != users.name_of("kafka"):
                assert running.poll() is None
            with pytest.raises(StackError, match=rf"kafka \(process {running.pid}\).*STACK_DIR={place.root} make down"):
                uninstall.uninstall(told.append)
        finally:
            running.kill()
    assert pwd.getpwnam(made[0])
    uninstall.uninstall(told.append)
    for name in (*made, users.PREFIX):
        assert not any(line.startswith(f"{name}:") for file in ("passwd", "group") for line in _lines(file))
    assert any(all(name in line for name in made) for line in told)
    assert {place.run.stat().st_mode & 0o777, place.data.stat().st_mode & 0o777} == {0o700}, "ids may be given again"
    assert sum("readable by root only" in line for line in told) == 2
    assert not users.MACHINE.exists()


def _lines(file: str) -> list[str]:
    return Path("/etc", file).read_text().splitlines()


@needs_root
def test_uninstall_deletes_the_data_of_a_stack_that_no_longer_exists(real: str, open_tmp_path: Path) -> None:
    place = Layout(open_tmp_path / "closed")
    place.root.mkdir(mode=0o700)
    folders.prepare(place, print)
    for path in (place.root / "run", place.root / "data"):
        path.unlink()
    (place.root / "stack.lock").unlink(missing_ok=True)
    place.root.rmdir()
    told = list[str]()
    uninstall.uninstall(told.append)
    assert sum(str(place.root) in line and "deleted" in line for line in told) == 2
    assert not users.MACHINE.exists()


@needs_root
def test_a_user_that_we_did_not_create_is_neither_used_nor_removed(real: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "PREFIX", "")
    monkeypatch.setattr(users, "name_of", lambda program: "daemon")
    with pytest.raises(StackError, match="make up did not create the user daemon"):
        users.ensure()
    assert users.processes() == {}
    assert pwd.getpwnam("daemon")


def test_without_useradd_the_entries_are_written_and_removed(
    monkeypatch: pytest.MonkeyPatch, real: str, tmp_path: Path
) -> None:
    passwd, group = "root:x:0:0:root:/root:/bin/sh\nlast:x:999:998::/:/bin/sh\n", "root:x:0:\nlast:x:998:\n"
    (tmp_path / "passwd").write_text(passwd)
    (tmp_path / "passwd").chmod(0o644)
    (tmp_path / "group").write_text(group)

    def getpwnam(name: str) -> pwd.struct_passwd:
        found = [line.split(":") for line in (tmp_path / "passwd").read_text().splitlines()]
        for entry in found:
            if entry[0] == name:
                return pwd.struct_passwd((*entry[:2], int(entry[2]), int(entry[3]), *entry[4:]))
        raise KeyError(name)

    def getgrnam(name: str) -> object:
        if not any(line.startswith(f"{name}:") for line in (tmp_path / "group").read_text().splitlines()):
            raise KeyError(name)
        return None

    monkeypatch.setattr(users, "ETC", tmp_path)
    monkeypatch.setattr(users, "MACHINE", tmp_path / "machine")
    monkeypatch.setattr(users, "pwd", SimpleNamespace(getpwnam=getpwnam))
    monkeypatch.setattr(users, "grp", SimpleNamespace(getgrnam=getgrnam))
    monkeypatch.setattr(users.shutil, "which", lambda name: None)
    made = users.ensure()
    assert len(made) == len(users.PROGRAMS)
    entries = [users.entry(program) for program in users.PROGRAMS]
    assert (entries[0].pw_uid, entries[1].pw_uid) == (996, 995), "998 and 999 are taken, 997 is the group's"
    assert {entry.pw_passwd for entry in entries} == {"*"}
    assert f"{users.PREFIX}:x:997:{','.join(made)}\n" in (tmp_path / "group").read_text()
    assert (tmp_path / "passwd").stat().st_mode & 0o777 == 0o644
    assert users.ensure() == []
    assert users.remove() == made
    assert ((tmp_path / "passwd").read_text(), (tmp_path / "group").read_text()) == (passwd, group)


def test_if_no_user_can_be_created_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, real: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(users, "ETC", tmp_path / "missing")
    monkeypatch.setattr(users, "MACHINE", tmp_path / "machine")
    monkeypatch.setattr(users.shutil, "which", lambda name: None)
    with pytest.raises(StackError, match=r"cannot create one here: .*; run make up as an ordinary user"):
        users.ensure()


def test_only_root_uninstalls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StackError, match="make clean"):
        uninstall.main({})

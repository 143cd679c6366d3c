"""Who may read what, and whom root starts a program as."""

import os
import shutil
from pathlib import Path

import pytest

from quartet_stack.errors import StackError
from quartet_stack.ownership import users
from quartet_stack.ownership.privileges import RunUser, enterable, reachable, run_user
from tests.unit.quartet_stack.conftest import STRANGER


@pytest.fixture
def folder(open_tmp_path: Path) -> Path:
    inner = open_tmp_path / "inner"
    inner.mkdir(mode=0o755)
    (inner / "file").write_text("x")
    (inner / "file").chmod(0o644)
    return inner


def test_a_file_in_open_folders_is_reachable(folder: Path) -> None:
    assert reachable(folder / "file", STRANGER, STRANGER)


def test_a_closed_folder_above_hides_a_readable_file_from_all_but_its_owner(folder: Path) -> None:
    folder.chmod(0o700)
    assert not reachable(folder / "file", STRANGER, STRANGER)
    assert reachable(folder / "file", os.getuid(), STRANGER)


def test_a_link_counts_as_what_it_points_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder / "file")
    folder.chmod(0o700)
    assert not reachable(tmp_path / "link", STRANGER, STRANGER)


def test_what_does_not_exist_yet_depends_on_the_folder_it_will_be_in(folder: Path) -> None:
    assert reachable(folder / "new" / "file", STRANGER, STRANGER)
    folder.chmod(0o700)
    assert not reachable(folder / "new" / "file", STRANGER, STRANGER)


def test_to_enter_a_folder_takes_less_than_to_read_it(folder: Path) -> None:
    folder.chmod(0o711)
    assert enterable(folder)
    assert not reachable(folder)
    folder.chmod(0o700)
    assert not enterable(folder)


def test_a_normal_user_starts_programs_as_they_are() -> None:
    assert RunUser("me").command() == []
    assert RunUser("me").identity() == {}


def test_root_starts_nothing_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    entry = users.pwd.struct_passwd(("x", "*", STRANGER, STRANGER, users.COMMENT, "/", "/bin/false"))
    monkeypatch.setattr(users, "exists", lambda program: True)
    monkeypatch.setattr(users, "entry", lambda program: entry)
    monkeypatch.setattr(users, "group", lambda: STRANGER + 1)
    words = run_user("order").command()
    assert {f"--reuid={STRANGER}", f"--regid={STRANGER}", f"--groups={STRANGER + 1}", "--no-new-privs"} <= {*words}
    assert not any("+" in word for word in words), "no capability is granted"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(StackError, match="setpriv is missing"):
        run_user("order")

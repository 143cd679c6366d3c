"""Copies of interpreters, checkouts and downloads whose folders the users of programs cannot enter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quartet_stack.ownership import readable
from quartet_stack.ownership.privileges import RunUser, reachable
from tests.unit.quartet_stack.conftest import STRANGER, needs_root

pytestmark = needs_root
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
USER = RunUser("stranger", STRANGER, STRANGER, (STRANGER,))


@pytest.fixture
def closed(open_tmp_path: Path) -> Path:
    """A folder that only root can enter."""
    folder = open_tmp_path / "closed"
    (folder / "tree" / "inner").mkdir(parents=True)
    (folder / "tree" / "inner" / "a").write_text("a")
    (folder / "tree" / "b").write_text("b")
    (folder / "tree" / "b").chmod(0o700)
    (folder / "tree" / "link").symlink_to("inner/a")
    folder.chmod(0o700)
    return folder


def seen(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if not path.is_dir()}


def read_as_user(path: Path) -> str:
    command = [*USER.command(), "cat", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/").stdout


def test_a_readable_file_is_not_copied(open_tmp_path: Path) -> None:
    (open_tmp_path / "file").write_text("x")
    assert readable.readable(open_tmp_path / "file", print) == open_tmp_path / "file"


def test_only_the_users_of_programs_can_read_a_copy(closed: Path) -> None:
    copy = readable.readable(closed / "tree", print)
    assert seen(copy) == seen(closed / "tree")
    assert read_as_user(copy / "inner" / "a") == "a"
    assert read_as_user(closed / "tree" / "inner" / "a") == ""
    assert os.access(copy / "b", os.X_OK)
    assert (copy / "link").readlink() == Path("inner/a")
    assert not reachable(copy, STRANGER + 1, STRANGER + 1), "what root kept closed is not open to all now"


def test_a_copy_follows_its_original_and_only_what_differs_is_written(closed: Path) -> None:
    tree, told = closed / "tree", list[str]()
    copy = readable.readable(tree, told.append)
    same = (copy / "b").stat().st_ino
    (tree / "inner" / "a").write_text("changed")
    (tree / "new").mkdir()
    (tree / "new" / "c").write_text("c")
    (tree / "link").unlink()
    (tree / "link").write_text("a file by now")
    assert readable.readable(tree, told.append) == copy
    assert seen(copy) == seen(tree)
    assert (copy / "b").stat().st_ino == same
    (tree / "new" / "c").unlink()
    (tree / "new").rmdir()
    (tree / "inner" / "a").unlink()
    (tree / "inner").rmdir()
    (tree / "inner").symlink_to("b")
    readable.readable(tree, told.append)
    assert seen(copy) == seen(tree)
    assert len(told) == 1, "the first time takes longer, so it is said"


def virtual_environment(folder: Path, base: Path) -> Path:
    """With one module, `thing`."""
    site = folder / "lib" / VERSION / "site-packages"
    site.mkdir(parents=True)
    (site / "thing.py").write_text("WHERE = __file__\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(base)
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    return folder


@pytest.fixture
def interpreter(closed: Path) -> Path:
    """This interpreter, reached through a folder that only root can enter."""
    base = Path(sys.executable).resolve()
    (closed / "python").symlink_to(base.parents[1])
    return closed / "python" / "bin" / base.name


@pytest.mark.thorough
@pytest.mark.parametrize("system", [True, False], ids=["the system's if it fits", "else a copy"])
def test_an_unreadable_interpreter_is_replaced(
    system: bool, closed: Path, interpreter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reachable(interpreter.resolve()):
        monkeypatch.setattr(readable, "reachable", lambda path: closed not in path.parents and path != interpreter)
    folders = [found for found in readable.SYSTEM_FOLDERS if (found / VERSION).exists() and system]
    if system and not folders:
        pytest.skip(f"this system has no {VERSION} of its own")
    monkeypatch.setattr(readable, "SYSTEM_FOLDERS", folders)
    venv, told = virtual_environment(closed / "venv", interpreter), list[str]()
    python = readable.python(venv, "import ssl, sqlite3, thing", told.append)
    assert any("copying the interpreter" in line for line in told) != system
    command = [*USER.command(), str(python), "-c", "import thing, sys; print(thing.WHERE, sys.prefix)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    where, prefix = done.stdout.split()
    assert Path(where).is_relative_to(readable.MACHINE / "copies")
    assert Path(prefix).is_relative_to(readable.MACHINE / "environments")
    told.clear()
    assert readable.python(venv, "import ssl, sqlite3, thing", told.append) == python
    assert not told, "the second time there is nothing to do"

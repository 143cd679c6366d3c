"""Unit tests create no users: if root runs them, every program has the same made-up user."""

import os
import pwd
from pathlib import Path

import pytest

from quartet_stack import layout as places
from quartet_stack.commands import uninstall
from quartet_stack.ownership import folders, readable, users

STRANGER = 54321
# in CI, which runs as root, they fail instead of being left out
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="MISSING: root, whose users these are"
)


@pytest.fixture(autouse=True)
def strangers(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Replaces the users, and the folder of the machine."""
    if os.geteuid() != 0:
        return
    entry = pwd.struct_passwd(("stranger", "*", STRANGER, STRANGER, users.COMMENT, "/nonexistent", "/bin/false"))
    monkeypatch.setattr(users, "exists", lambda program: True)
    monkeypatch.setattr(users, "ensure", list)
    monkeypatch.setattr(users, "entry", lambda program: entry)
    monkeypatch.setattr(users, "group", lambda: STRANGER)
    machine = tmp_path_factory.mktemp("machine")
    for folder in (machine, *machine.parents):
        if folder.owner() == "root" and not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)
    for module in (places, users, readable, folders, uninstall):
        monkeypatch.setattr(module, "MACHINE", machine / "quartet")


@pytest.fixture
def go_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notes of a `go` in PATH that does nothing else: a line for each call, with folder, GOFLAGS and arguments."""
    tool, notes = tmp_path / "bin" / "go", tmp_path / "notes"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$PWD $GOFLAGS $*" >>{notes}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    return notes


@pytest.fixture
def open_tmp_path(tmp_path: Path) -> Path:
    """A temporary folder that every user can enter."""
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.owner() == Path.home().owner() and not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    return tmp_path

"""Who may read what, and what root hands to the user who runs the stack."""

import os
from pathlib import Path

import pytest

from native_stack.errors import StackError
from native_stack.privileges import RunUser, _read_capability, reachable, run_user

STRANGER = 54321


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.owner() == Path.home().owner() and not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    inner = tmp_path / "inner"
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


def test_a_normal_user_starts_programs_as_they_are() -> None:
    assert RunUser("me").command([Path("/")]) == []
    assert RunUser("me").give_up([Path("/")]) == []


def test_root_starts_nothing_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("QUARTET_USER", raising=False)
    user = run_user(())
    assert user.uid not in (None, 0)
    assert f"--reuid={user.uid}" in user.command([Path("/")])
    monkeypatch.setenv("QUARTET_USER", "root")
    with pytest.raises(StackError, match="unprivileged"):
        run_user(())


def test_the_capability_goes_only_to_who_needs_it(folder: Path) -> None:
    user = RunUser("nobody", STRANGER, STRANGER, "dac_read_search")
    assert not any("dac_read_search" in word for word in user.command([folder]))
    assert user.give_up([folder]) == ["--inh-caps=-all", "--ambient-caps=-all"]
    folder.chmod(0o700)
    assert "--ambient-caps=+dac_read_search" in user.command([folder])
    assert user.give_up([folder]) == []


@pytest.mark.parametrize(
    ("bounding", "expected"),
    [("000001fffeffffff", "dac_read_search"), ("00000000a80425fb", "dac_override"), ("0000000000000000", "")],
    ids=["a machine", "a container", "nothing"],
)
def test_the_capability_is_one_that_this_place_grants(bounding: str, expected: str) -> None:
    assert _read_capability(f"Name:\tx\nCapBnd:\t{bounding}\n") == expected

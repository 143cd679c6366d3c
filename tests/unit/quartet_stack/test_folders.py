"""Whose the folders of a stack are, and what becomes of those of before."""

import os
import stat
from pathlib import Path

import pytest

from quartet_stack import services, stack
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout, locked
from quartet_stack.ownership import folders
from quartet_stack.secrets_store import load_or_create, read
from quartet_stack.settings import SERVICES
from tests.unit.quartet_stack.conftest import STRANGER, needs_root

FORMER = 54322  # who ran all programs before
ROOT = os.geteuid() == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def place(open_tmp_path: Path) -> Layout:
    return Layout(open_tmp_path / "stack")


@pytest.fixture
def former(place: Layout) -> Layout:
    """A stack as it was: everything belongs to one user."""
    for folder in (
        place.run / "programs",
        place.logs,
        place.data / "postgres" / "order",
        place.data / "kafka" / "logs",
    ):
        folder.mkdir(parents=True)
    (place.run / "programs" / "order").write_text("old")
    (place.data / "kafka" / "logs" / "segment").write_text("kept")
    (place.data / services.SANDBOX_FILE).write_text("ledger")
    load_or_create(place, SERVICES)
    for path in (place.run, place.data, *place.run.rglob("*"), *place.data.rglob("*")):
        os.chown(path, FORMER, FORMER)
    return place


def test_others_may_pass_through_roots_folders_and_see_nothing(place: Layout) -> None:
    folders.prepare(place, print)
    load_or_create(place, SERVICES)
    passed = {mode(folder) for folder in (place.run, place.data, place.scripts, place.data / "postgres")}
    assert passed == {0o711 if ROOT else 0o700}
    assert (mode(place.logs), mode(place.secrets)) == (0o700, 0o600)
    data, _ = folders.home(place, "kafka")
    assert (data.stat().st_uid, mode(data)) == (STRANGER if ROOT else os.geteuid(), 0o700)


def test_nobody_else_can_hold_a_lock_of_ours(tmp_path: Path) -> None:
    (tmp_path / "stack.lock").touch(0o644)
    with locked(tmp_path / "stack.lock", "nobody"):
        assert mode(tmp_path / "stack.lock") == 0o600


@needs_root
def test_what_one_user_owned_is_shared_out_once_the_stack_has_stopped(former: Layout) -> None:
    secrets, told, stops = read(former), list[str](), list[int]()
    folders.prepare(former, told.append, lambda: stops.append(former.data.stat().st_uid))
    assert stops[0] == FORMER
    assert any("belonged to one user" in line for line in told)
    assert {path.stat().st_uid for path in (former.run, former.data, former.secrets)} == {0}
    assert read(former) == secrets
    folders.home(former, "kafka")
    assert {path.stat().st_uid for path in (former.data / "kafka").rglob("*")} == {STRANGER}
    assert (former.data / "kafka" / "logs" / "segment").read_text() == "kept"
    stack._move_sandbox(former)
    assert (former.data / "provider" / services.SANDBOX_FILE).stat().st_uid in (0, STRANGER)
    folders.prepare(former, told.append, lambda: stops.append(-1))
    assert -1 not in stops, "nothing is left to do"


@needs_root
@pytest.mark.parametrize("name", ["run/logs", "run/supervisord.pid", "run/secrets", "data/postgres", "data/kafka"])
@pytest.mark.parametrize("dangling", [False, True], ids=["to a folder", "to nothing yet"])
def test_links_that_the_former_user_left_are_followed_by_nobody(
    name: str, dangling: bool, former: Layout, open_tmp_path: Path
) -> None:
    outside = open_tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("root's own")
    link = former.root / name
    if link.is_dir():
        link.rename(link.with_name("aside"))
    link.symlink_to(outside / ("new" if dangling else ""))
    os.lchown(link, FORMER, FORMER)
    before = [tuple(path.stat()) for path in (outside, outside / "file")]

    def up() -> None:
        folders.prepare(former, lambda text: None)
        folders.home(former, "kafka")

    if name.startswith("data"):
        with pytest.raises(StackError, match=f"{link} is a link or not a folder"):
            up()
    else:
        up()
        assert not link.is_symlink()
    assert [tuple(path.stat()) for path in (outside, outside / "file")] == before


@needs_root
def test_a_stack_in_a_closed_folder_moves_to_where_its_users_can_enter(former: Layout) -> None:
    secrets = read(former)
    former.root.chmod(0o700)
    folders.prepare(former, lambda text: None)
    assert former.run == former.elsewhere / "run"
    assert former.data == former.elsewhere / "data"
    assert read(former) == secrets
    folders.prepare(former, lambda text: None)  # again: nothing changes
    assert (former.root / "data").readlink() == former.elsewhere / "data"
    assert folders.started_by_root() == {former.elsewhere: former.root}
    folders.delete(former)
    assert not os.path.lexists(former.root / "data")
    assert not former.elsewhere.exists()

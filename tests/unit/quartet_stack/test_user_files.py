"""A service's user cannot make root change anything outside of that user's folders.

If root runs these tests, it plays both parts; any other user plays its own part only, with the same expectations.
"""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from quartet_stack import services, stack
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.ownership import folders, user_files
from quartet_stack.ownership.privileges import run_user
from quartet_stack.processes.programs import Program, configuration, write_scripts
from quartet_stack.processes.readiness import Check
from quartet_stack.secrets_store import load_or_create, write_private
from quartet_stack.servers import kafka, postgres
from quartet_stack.settings import SERVICES, resolve
from tests.unit.quartet_stack.conftest import STRANGER

UID = STRANGER if os.geteuid() == 0 else os.geteuid()
ROOT = os.geteuid() == 0
PRECIOUS = "root's own\n"
PROGRAM = Program("order", "service", ("true",), Path("/"), Check("tcp", 1))


@pytest.fixture
def place(open_tmp_path: Path) -> Layout:
    layout = Layout(open_tmp_path / "stack")
    folders.prepare(layout, print)
    return layout


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text(PRECIOUS)
    (folder / "file").chmod(0o644)
    return folder


def plant(link: Path, target: Path) -> None:
    """Create a link as the service's user would: that user owns it."""
    link.symlink_to(target)
    os.lchown(link, UID, -1)


def seen(folder: Path) -> list[tuple[object, ...]]:
    """Everything about a folder and its contents that could change."""
    return [
        (path.name, *tuple(path.lstat())[:6], b"" if path.is_dir() else path.read_bytes())
        for path in (folder, *sorted(folder.iterdir()))
    ]


def test_the_target_of_a_link_in_a_data_folder_is_not_changed(place: Layout, outside: Path) -> None:
    before = seen(outside)
    folders.home(place, "kafka")
    plant(place.data / "kafka" / "file", outside / "file")
    plant(place.data / "kafka" / "folder", outside)
    (place.data / "kafka" / "plain").write_text("left by root, or of another user")
    folders.home(place, "kafka")
    assert seen(outside) == before
    found = (place.data / "kafka" / "plain").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (UID, 0o600)


def test_a_hard_link_to_a_file_outside_keeps_its_owner(place: Layout, outside: Path) -> None:
    folders.home(place, "kafka")
    os.link(outside / "file", place.data / "kafka" / "file")
    folders.home(place, "kafka")
    found = (outside / "file").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (os.geteuid(), 0o644)


def test_deeply_nested_folders_are_no_obstacle(place: Layout) -> None:
    data, user = folders.home(place, "kafka")
    held = os.open(data, os.O_RDONLY)
    for _ in range(1500):  # more than one may have frames, or open files
        os.mkdir("d", dir_fd=held)
        inner = os.open("d", os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = inner
    os.close(held)
    (data / "last").write_text("")
    try:
        user.own(data)
    finally:
        subprocess.run(["rm", "-rf", data / "d"], check=True)  # pytest could not
    assert (data / "last").stat().st_uid == UID


def test_a_data_folder_that_became_a_link_is_refused_by_name(place: Layout, outside: Path) -> None:
    before = seen(outside)
    data, user = folders.home(place, "kafka")
    inner = data / "inner"
    plant(inner, outside)
    attempts: list[Callable[[], object]] = [
        lambda: user_files.hand_over(inner, UID, UID),
        lambda: user_files.open_folder(inner / "file", UID),
    ]
    if ROOT:  # any other user may have links in folders of its own
        attempts += [
            lambda: user.own(inner),
            lambda: user.write(inner, "file", "x"),
            lambda: user.read(inner, "file"),
        ]
    for attempt in attempts:
        with pytest.raises(StackError, match=r"/inner is a link or not a folder"):
            attempt()
    assert seen(outside) == before


@pytest.mark.parametrize("link", [plant, lambda path, target: os.mkfifo(path)], ids=["a link", "a pipe"])
def test_only_a_plain_and_short_file_of_a_user_is_read(
    link: Callable[[Path, Path], None], place: Layout, outside: Path
) -> None:
    data, user = folders.home(place, "kafka")
    link(data / "file", outside / "file")
    assert user.read(data, "file") == ""
    (data / "long").write_text("x" * (user_files.LONGEST + 1))
    assert user.read(data, "long") == ""
    (data / "short").write_text("as it is")
    assert user.read(data, "short") == "as it is"


def server_properties(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "java", lambda what, report: Path("/bin/sh"))
    monkeypatch.setattr(kafka, "_libs", lambda settings, report: Path("/nonexistent"))
    monkeypatch.setattr(kafka, "_format", lambda *_: None)
    kafka.prepare(resolve({"STACK_DIR": str(place.root)}), lambda text: None)


def scripts(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scripts(place, [PROGRAM])


def secrets(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    load_or_create(place, SERVICES)


def migrated(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in SERVICES:
        run_user(f"{service}-db").own(postgres.data_folder(place, service))
    monkeypatch.setattr(services, "service", lambda *_: PROGRAM)
    stack._migrate(resolve({"STACK_DIR": str(place.root)}), {}, Path("/bin/sh"), lambda what, how_far: None)


def private(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_private(place.run, "docker.json", "{}")


@pytest.mark.parametrize("link", [plant, lambda path, target: os.link(target, path)], ids=["a link", "a second name"])
def test_a_link_in_place_of_the_secrets_is_not_read(
    link: Callable[[Path, Path], None], place: Layout, outside: Path
) -> None:
    (outside / "file").write_text('{"auth": "of somebody else"}')
    link(place.secrets, outside / "file")
    with pytest.raises(StackError, match=r"secrets\.json"):
        load_or_create(place, SERVICES)
    assert sorted(path.name for path in place.data.iterdir()) == ["postgres", "secrets.json"]


WRITERS = [
    ("data/kafka/server.properties", server_properties),
    ("run/programs/order", scripts),
    ("run/secrets/order", scripts),
    ("data/secrets.json", secrets),
    ("data/postgres/order/quartet-migrated", migrated),
    ("run/docker.json", private),
]


@pytest.mark.parametrize(("name", "write"), WRITERS, ids=[name for name, _ in WRITERS])
@pytest.mark.parametrize("dangling", [False, True], ids=["to a file", "to nothing yet"])
def test_writing_a_file_replaces_a_link_instead_of_following_it(
    name: str,
    write: Callable[[Layout, pytest.MonkeyPatch], None],
    dangling: bool,
    place: Layout,
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = place.root / name
    if "kafka" in name:
        folders.home(place, "kafka")
    if "postgres" in name:
        run_user("order-db").own(path.parent)
    plant(path, outside / ("new" if dangling else "file"))
    if name == "data/secrets.json":
        path.unlink()  # what is there is read; the draft beside it is what may be guessed
        plant(path.with_name(f"secrets.json.{os.getpid()}.new"), outside / "file")
    before = seen(outside)
    write(place, monkeypatch)
    assert seen(outside) == before
    assert path.is_file()
    assert not path.is_symlink()
    assert not stat.S_IMODE(path.stat().st_mode) & 0o007
    assert not stat.S_IMODE(path.stat().st_mode) & 0o070 or path.stat().st_gid == STRANGER


def test_a_cluster_replaces_the_draft_of_a_failed_attempt_but_not_the_target_of_a_link(
    place: Layout, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen(outside)
    draft = place.data / "postgres" / "order.new"
    plant(draft, outside)

    def initdb(command: list[str], text: str = "") -> None:
        assert (draft.is_symlink(), draft.stat().st_uid) == (False, UID)

    monkeypatch.setattr(postgres, "_run", initdb)
    assert postgres.create(place, Path("/nonexistent"), "order", dict.fromkeys((*SERVICES, "postgres"), "s"))
    assert (place.data / "postgres" / "order").is_dir()
    assert seen(outside) == before


def test_files_that_programs_write_are_readable_by_their_user_only(place: Layout) -> None:
    data, _ = folders.home(place, "order")
    program = Program("order", "service", ("/bin/sh", "-c", ": >log"), data, Check("tcp", 1))
    digests = write_scripts(place, [program])
    subprocess.run([place.scripts / "order"], check=True)
    found = (data / "log").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (UID, 0o600)
    assert "\numask=077\n" in configuration(place, [program], digests)  # supervisord opens the logs itself

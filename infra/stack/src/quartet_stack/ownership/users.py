"""System users for the programs of stacks that root starts: one per program, shared by all stacks of the machine."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from quartet_stack.errors import StackError
from quartet_stack.layout import MACHINE, locked
from quartet_stack.settings import SERVICES

PREFIX = "quartet"
PROGRAMS = (
    *SERVICES,
    *(f"{name}-{server}" for server in ("db", "standby") for name in SERVICES),
    *("provider", "console", "auditor", "kafka", "temporal", "temporal-db", "ministack", "pubsub", "toxiproxy"),
)
COMMENT = "Quartet's"  # the start of the comment field of users that we created and may remove
ETC = Path("/etc")
SYSTEM_IDS = range(999, 100, -1)
NO_SHELL = "/usr/sbin/nologin"


def name_of(program: str) -> str:
    """The name of the user of a program."""
    return f"{PREFIX}-{program}"


def exists(program: str) -> bool:
    """Whether a user with that name exists, ours or not."""
    try:
        pwd.getpwnam(name_of(program))
    except KeyError:
        return False
    return True


def group() -> int:
    """The id of the group of all these users, which may read the copies of files from closed folders.

    Raises:
        StackError: The group does not exist.
    """
    try:
        return grp.getgrnam(PREFIX).gr_gid
    except KeyError:
        raise StackError(f"the group {PREFIX} is missing; to create it again: make uninstall, then make up") from None


def entry(program: str) -> pwd.struct_passwd:
    """The entry of a program's user.

    Raises:
        StackError: There is no such user, or `make up` did not create it.
    """
    name = name_of(program)
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise StackError(f"the user {name} does not exist; make up creates it") from None
    if not user.pw_uid or not user.pw_gecos.startswith(COMMENT):
        raise StackError(f"make up did not create the user {name} that exists here; rename or remove that user")
    return user


def ensure() -> list[str]:
    """Create the missing users, as root; returns their names. `StackError` if that is not possible."""
    if not _missing():
        return []
    MACHINE.mkdir(mode=0o711, parents=True, exist_ok=True)
    with locked(MACHINE / "users.lock", "another make that is creating or removing users"):
        missing = _missing()
        if not _known(PREFIX):
            _make_group()
        for program in missing:
            _make(program)
    return [name_of(program) for program in missing]


def remove() -> list[str]:
    """Remove the users and their groups, none of whose processes may run; returns the names of the users."""
    if not MACHINE.is_dir():
        return []
    with locked(MACHINE / "users.lock", "another make that is creating or removing users"):
        ours = [name_of(program) for program in PROGRAMS if _is_ours(program)]
        if shutil.which("userdel") and shutil.which("groupdel"):
            for name in ours:
                _run("userdel", name)
            for name in filter(_known, (*ours, PREFIX)):
                _run("groupdel", name)
        with _edited() as (users, groups):
            users[:] = [line for line in users if line.split(":")[0] not in ours]
            groups[:] = [line for line in groups if line.split(":")[0] not in (*ours, PREFIX)]
    return ours


def processes() -> dict[int, str]:
    """The ids of the processes that run as one of these users, each with the name of the user."""
    names = {entry(program).pw_uid: name_of(program) for program in PROGRAMS if _is_ours(program)}
    users = ((process.pid, process.info["uids"]) for process in psutil.process_iter(["uids"]))
    return {pid: names[uids.effective] for pid, uids in users if uids and uids.effective in names}


def _missing() -> list[str]:
    for program in PROGRAMS:
        if exists(program):
            entry(program)  # refuses a user that we did not create
    return [program for program in PROGRAMS if not exists(program)]


def _is_ours(program: str) -> bool:
    return exists(program) and pwd.getpwnam(name_of(program)).pw_gecos.startswith(COMMENT)


def _known(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _make_group() -> None:
    if shutil.which("groupadd"):
        _run("groupadd", "--system", PREFIX)
        return
    with _edited() as (users, groups):
        groups.append(f"{PREFIX}:x:{_free(users, groups)}:")


def _make(program: str) -> None:
    name, comment = name_of(program), f"{COMMENT} {program}"
    if shutil.which("useradd"):
        home = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", NO_SHELL)
        _run("useradd", "--system", "--user-group", "--groups", PREFIX, *home, "--comment", comment, name)
        return
    with _edited() as (users, groups):
        number = _free(users, groups)
        users.append(f"{name}:*:{number}:{number}:{comment}:/nonexistent:{NO_SHELL}")
        at = next(n for n, line in enumerate(groups) if line.split(":")[0] == PREFIX)
        groups[at] += f"{'' if groups[at].endswith(':') else ','}{name}"
        groups.append(f"{name}:x:{number}:")


def _free(users: Collection[str], groups: Collection[str]) -> int:
    taken = {line.split(":")[2] for line in (*users, *groups) if line.count(":") > 2}
    return next(number for number in SYSTEM_IDS if str(number) not in taken)


@contextmanager
def _edited() -> Iterator[tuple[list[str], list[str]]]:
    """The lines of passwd and group, written back if they changed; the lock makes other tools wait meanwhile.

    Raises:
        StackError: The files cannot be changed.
    """
    try:
        lock = os.open(ETC / ".pwd.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX)  # as lckpwdf(3) does
            lines = {name: (ETC / name).read_text().splitlines() for name in ("passwd", "group")}
            before = {name: list(text) for name, text in lines.items()}
            yield lines["passwd"], lines["group"]
            for name, after in lines.items():
                if after != before[name]:
                    _replace(ETC / name, "".join(f"{line}\n" for line in after))
        finally:
            os.close(lock)
    except OSError as error:
        raise StackError(
            f"make up, run by root, creates a user for each program, and cannot create one here: {error};"
            " run make up as an ordinary user"
        ) from None


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.quartet")
    draft.write_text(text)
    shutil.copystat(path, draft)
    draft.replace(path)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(
            f"{command[0]} {command[-1]} failed: {done.stderr.strip()[-300:]}; make up, run by root, creates a user for"
            " each program; if that is not possible here, run make up as an ordinary user"
        )

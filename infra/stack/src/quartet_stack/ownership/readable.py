"""Make what programs run from readable for their users.

Root's interpreter, checkout or downloads may be in folders that no other user can enter. Then programs get copies below
`MACHINE`, which only these users can read and which follow the original; and instead of an interpreter that they cannot
read they get the system's, if it is suitable.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.layout import MACHINE, REPOSITORY, locked
from quartet_stack.ownership import users
from quartet_stack.ownership.privileges import reachable, run_user

Report = Callable[[str], None]
SOURCES = {"shared": "src", "services": "*/src", "infra": "*/src"}
SYSTEM_FOLDERS = (Path("/usr/bin"), Path("/usr/local/bin"))
LEFT_OUT = ("site-packages", "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo")  # of an interpreter
TRY_OURS = "import ssl, sqlite3, order_service.main, provider_sandbox.main"


def readable(path: Path, report: Report) -> Path:
    """The path at which the users of the programs can read a file or folder: its own, or that of a current copy."""
    if os.geteuid() != 0 or reachable(path):
        return path
    return _copied(path, report)


def services_python(report: Report) -> Path:
    """The interpreter for our services: the one that runs this, or one that the services' users can read."""
    venv = Path(sys.prefix)
    if os.geteuid() != 0 or _all_reachable(venv):
        return Path(sys.executable)
    trees = {top: readable(REPOSITORY / top, report) for top in SOURCES}
    sources = [
        tree / folder.relative_to(REPOSITORY / top)
        for top, tree in trees.items()
        for folder in sorted((REPOSITORY / top).glob(SOURCES[top]))
    ]
    return python(venv, TRY_OURS, report, sources)


def python(venv: Path, trial: str, report: Report, sources: Sequence[Path] = ()) -> Path:
    """An interpreter that the users of the programs can start, with the packages of a virtual environment.

    Args:
        venv: The virtual environment.
        trial: Code that the interpreter must be able to run as such a user.
        report: Called with a line for each copy that is created.
        sources: Further folders of modules.

    Raises:
        StackError: No interpreter on this machine is suitable.
    """
    own = venv / "bin" / "python"
    library = next((venv / "lib").glob("python3*"))
    if os.geteuid() != 0 or (not sources and _all_reachable(venv)):
        return own
    packages = readable(library / "site-packages", report)
    base = own.resolve()
    target = _folder("environments", venv)
    made_of = json.dumps([str(base), base.stat().st_mtime_ns, str(packages), trial, *map(str, sources)])
    interpreter = target / "bin" / "python"
    with locked(target.with_name(f"{target.name}.lock"), "another make that is preparing an interpreter"):
        stamp = target / "made-of"
        if stamp.exists() and stamp.read_text() == made_of and interpreter.exists():
            return interpreter
        for candidate in _interpreters(base, library.name, report):
            _environment(target, candidate, library.name, packages, sources)
            if _runs(interpreter, trial):
                report(f"programs run with {candidate}, because their users cannot read {base}")
                stamp.write_text(made_of)
                return interpreter
    raise StackError(
        f"the users of the programs cannot read {base}, and no other interpreter here is suitable; install Python "
        f"{library.name.removeprefix('python')} where all users can read it, or run make up as an ordinary user"
    )


def _all_reachable(venv: Path) -> bool:
    base, library = (venv / "bin" / "python").resolve(), next((venv / "lib").glob("python3*"))
    needed = (base, base.parents[1] / "lib", library / "site-packages", REPOSITORY / "shared" / "src")
    return all(map(reachable, needed))


def _interpreters(base: Path, version: str, report: Report) -> Iterator[Path]:
    """Candidates in this order: the original, the system's of the same version, a copy of the original."""
    if reachable(base) and reachable(base.parents[1] / "lib" / version):
        yield base
    for folder in SYSTEM_FOLDERS:
        candidate = folder / version
        if candidate.exists() and reachable(candidate):
            yield candidate
    root = base.parents[1]
    report(f"copying the interpreter in {root}, which only root can read")
    target = _folder("copies", root)
    with locked(target.with_name(f"{target.name}.lock"), "another make that is copying"):
        _sync(base, target / "bin" / version)
        for library in (root / "lib").glob("*.so*"):
            _sync(library, target / "lib" / library.name)
        _sync(root / "lib" / version, target / "lib" / version, LEFT_OUT)
    yield target / "bin" / version


def _environment(target: Path, base: Path, version: str, packages: Path, sources: Iterable[Path]) -> None:
    """Create a virtual environment without packages of its own: a path file names those of another one."""
    shutil.rmtree(target, ignore_errors=True)
    site = target / "lib" / version / "site-packages"
    for folder in (target / "bin", site):
        _make_folder(folder)
    (target / "bin" / version).symlink_to(base)
    _create_python(target / "bin" / "python", base)
    (target / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    names = [*map(str, sources), f"import site; site.addsitedir({str(packages)!r})"]
    (site / "quartet.pth").write_text("\n".join([*names, ""]))
    for file in (target / "pyvenv.cfg", site / "quartet.pth"):
        file.chmod(0o644)


def _create_python(python: Path, base: Path) -> None:
    """Create `python`: a link, or a script if a copied interpreter has to be told where its library is."""
    libraries = base.parents[1] / "lib"
    if any(libraries.glob("libpython*.so*")) and libraries.is_relative_to(MACHINE):
        words = [f"LD_LIBRARY_PATH={shlex.quote(str(libraries))}", "exec", shlex.quote(str(python.parent / base.name))]
        python.write_text("\n".join(["#!/bin/sh", f'{" ".join(words)} "$@"', ""]))
        python.chmod(0o755)
    else:
        python.symlink_to(base.name)


def _runs(interpreter: Path, trial: str) -> bool:
    command = [*run_user(users.PROGRAMS[0]).command(), str(interpreter), "-c", trial]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, check=False).returncode == 0


def _copied(path: Path, report: Report) -> Path:
    target = _folder("copies", path)
    with locked(target.with_name(f"{target.name}.lock"), "another make that is copying"):
        if not target.exists():
            report(f"copying {path}, which only root can read")
        _sync(path, target / path.name)
    return target / path.name


def _folder(kind: str, of: Path) -> Path:
    """The place of a copy of a path, in a folder that only the users of programs can enter."""
    above = MACHINE / kind
    above.mkdir(mode=0o750, parents=True, exist_ok=True)
    os.chown(above, 0, users.group())
    above.chmod(0o750)
    return above / hashlib.sha256(str(of).encode()).hexdigest()[:12]


def _sync(source: Path, target: Path, without: Collection[str] = ()) -> None:
    """Make `target` a copy of a file, or of a folder except its entries `without`; only differences are copied.

    Links stay links. Files with the same size and modification time count as equal.
    """
    _make_folder(target.parent)
    with os.scandir(source.parent) as entries:
        entry = next(entry for entry in entries if entry.name == source.name)
    with os.scandir(target.parent) as entries:
        before = next((entry for entry in entries if entry.name == target.name), None)
    _renew(entry, before, str(target), without)


def _renew(
    entry: os.DirEntry[str], before: os.DirEntry[str] | None, target: str, without: Collection[str] = ()
) -> None:
    """Copy one entry of a folder over `before`, what is there now; thousands of entries take a tenth of a second."""
    if before and _kind(before) != _kind(entry):
        _remove(Path(target))
        before = None
    if entry.is_symlink():
        if not before or os.readlink(target) != os.readlink(entry.path):
            _remove(Path(target))
            os.symlink(os.readlink(entry.path), target)
    elif entry.is_dir(follow_symlinks=False):
        _make_folder(Path(target))
        with os.scandir(target) as entries:
            present = {inner.name: inner for inner in entries}
        with os.scandir(entry.path) as entries:
            for inner in entries:
                if inner.name not in without:
                    _renew(inner, present.pop(inner.name, None), f"{target}/{inner.name}")
        for name in present:
            _remove(Path(target, name))
    elif entry.is_file(follow_symlinks=False) and not (before and _same(entry, before)):
        _copy(entry, target)


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    return entry.is_symlink(), entry.is_dir(follow_symlinks=False)


def _same(one: os.DirEntry[str], other: os.DirEntry[str]) -> bool:
    status, other_status = one.stat(follow_symlinks=False), other.stat(follow_symlinks=False)
    return (status.st_size, status.st_mtime_ns) == (other_status.st_size, other_status.st_mtime_ns)


def _copy(entry: os.DirEntry[str], target: str) -> None:
    status = entry.stat(follow_symlinks=False)
    draft = f"{target}.new"
    shutil.copyfile(entry.path, draft, follow_symlinks=False)
    os.chmod(draft, 0o755 if status.st_mode & 0o100 else 0o644)
    os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(draft, target)


def _make_folder(folder: Path) -> None:
    """Create a folder that all who may enter its parent can read, whatever the umask is."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()

"""Known bugs as patches, and copies of the tree with one of them: negative controls that the checks must find.

`plants/<name>.patch` begins with what the bug is (`bug`), whether the simulation can hold it (`simulated`), the
invariants that it breaks (`breaks`), what it takes to show (`needs`), settings of `make chaos` under which a run shows
it (`live`), and what else than the audit and how orders ended may show it (`finders`, none if it is left out); a patch
in git's format follows.
A patch is only ever applied to a copy of the tree in a temporary folder.

    with planted("no-inbox") as copy:
        subprocess.run([copy.python, "-m", "tests.simulation"], cwd=copy.folder, env=copy.environment())

All that runs with `copy.python` imports the copy, and so do the programs that it starts, such as the services of a
stack: the interpreter belongs to a virtual environment of the copy, which has the packages installed in this one, but
not the project.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PATCHES: Final = Path(__file__).resolve().parent / "plants"
SOURCES: Final = ("shared/src", "services/*/src", "infra/*/src")
FIELDS: Final = ("bug", "simulated", "breaks", "needs", "live", "finders")
FORGET: Final = """
import shutil, sys
from pathlib import Path
from quartet_stack.ownership import readable
made = readable._folder("environments", Path(sys.prefix))
shutil.rmtree(made, ignore_errors=True)
made.with_name(f"{made.name}.lock").unlink(missing_ok=True)
"""
PRIVATE: Final = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PLANT", "STACK_DIR")


class PlantError(Exception):
    """A plant is unknown, or no longer applies to the tree."""


@dataclass(frozen=True, slots=True)
class Plant:
    """One known bug. `simulated`: whether the simulation can find it; otherwise it takes a running stack.

    `live`: settings of `make chaos` under which a run shows the bug; `finders`: further checks that may find it.
    """

    name: str
    bug: str
    simulated: bool
    breaks: str
    needs: str
    live: Mapping[str, str]
    finders: tuple[str, ...]

    @property
    def patch(self) -> Path:
        return PATCHES / f"{self.name}.patch"


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the tree with a bug; `python` runs its code."""

    folder: Path
    python: Path

    def environment(self, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        """`environ` (this process's by default) without what would lead back to the tree that was copied."""
        environ = os.environ if environ is None else environ
        return {name: value for name, value in environ.items() if name not in PRIVATE}


def plants() -> dict[str, Plant]:
    """All plants by name."""
    return {path.stem: _read(path) for path in sorted(PATCHES.glob("*.patch"))}


def plant_of(name: str) -> Plant:
    """The plant of that name; PlantError lists the valid names."""
    known = plants()
    if name not in known:
        raise PlantError(f"PLANT={name!r} is unknown; valid are: {', '.join(known)}")
    return known[name]


@contextmanager
def planted(name: str) -> Iterator[Copy]:
    """Make a copy of the tree with the bug `name`; afterwards its stacks are stopped and it is deleted.

    Raises PlantError for an unknown name, and where the patch does not apply.
    """
    patch = plant_of(name).patch
    with copied() as copy:
        apply(copy, patch)
        yield copy


@contextmanager
def copied() -> Iterator[Copy]:
    """Copy all files of the tree that git does not ignore, with an interpreter of its own."""
    with tempfile.TemporaryDirectory(prefix="quartet-plant-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary).resolve()
        folder.chmod(0o755)  # a stack that root starts runs as another user
        for name in _tracked():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
        _share_components(folder)
        copy = Copy(folder, _interpreter(folder))
        try:
            yield copy
        finally:
            _stop_stacks(copy)


def apply(copy: Copy, patch: Path, reverse: bool = False) -> None:
    """Apply a patch to the copy, or take it back; PlantError says what does not fit."""
    words = ["git", "apply", *(["--reverse"] if reverse else []), str(patch)]
    environ = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.folder.parent)}  # not inside another repository
    done = subprocess.run(words, cwd=copy.folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PlantError(f"{patch.name} does not fit the tree any more: {done.stderr.strip()}")


def _read(path: Path) -> Plant:
    head, found, last = path.read_text().partition("\ndiff --git ")[0], {}, ""
    for line in head.splitlines():
        name, colon, text = line.partition(": ")
        if colon and name in FIELDS:
            last = name
            found[name] = text
        elif line.strip():
            found[last] += f" {line.strip()}"
    live = dict(word.split("=", 1) for word in found["live"].split())
    finders = tuple(found.get("finders", "").split())
    return Plant(path.stem, found["bug"], found["simulated"] == "yes", found["breaks"], found["needs"], live, finders)


def _tracked() -> list[str]:
    words = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PlantError(f"a plant needs a git checkout of the tree: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def _interpreter(folder: Path) -> Path:
    """A virtual environment that imports the copy, and for the rest what is installed here.

    What it is given of this environment is the folder of packages alone: the files in it that would add this tree are
    read by Python only in a folder of its own.
    """
    place = folder / ".venv"
    venv.create(place, symlinks=True, with_pip=False)
    packages = next((place / "lib").glob("python*/site-packages"))
    own = [str(found) for pattern in SOURCES for found in sorted(folder.glob(pattern))]
    (packages / "quartet.pth").write_text("\n".join([*own, sysconfig.get_path("purelib")]) + "\n")
    return place / "bin" / Path(sys.executable).name


def _share_components(folder: Path) -> None:
    """Share the downloaded servers of the tree with the copy."""
    there = ROOT / ".stack" / "components"
    there.mkdir(parents=True, exist_ok=True)
    (folder / ".stack").mkdir()
    (folder / ".stack" / "components").symlink_to(there)


def _stop_stacks(copy: Copy) -> None:
    """Stop whatever still runs from the copy, and delete the interpreter that root had made for its users."""
    records = sorted(copy.folder.glob(".stack/**/run/stack.json"))
    for record in records:
        environ = copy.environment() | {"STACK_DIR": str(record.parents[1])}
        words = [str(copy.python), "-m", "quartet_stack", "clean"]
        subprocess.run(words, cwd=copy.folder, env=environ, capture_output=True, check=False)
    if records and os.geteuid() == 0:
        words = [str(copy.python), "-c", FORGET]
        subprocess.run(words, cwd=copy.folder, env=copy.environment(), capture_output=True, check=False)

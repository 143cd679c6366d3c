"""Make the virtual environment that everything else runs in; plain Python, no third party packages.

`python3 infra/stack/bootstrap.py [runtime|dev]` installs the locked dependencies with their hashes and the
project itself into `.venv`. It does nothing when a stamp says that the same lock, packages and folder were
installed before, so it is cheap to call first every time. Concurrent calls wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}
PIP_LOCK = ROOT / "infra" / "stack" / "pip" / "requirements.lock"
LOCKED = ("install", "--require-hashes", "--no-deps")
OLDEST = (3, 11)


def main() -> int:
    profile = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    if profile not in LOCKS:
        return fail(f"unknown profile {profile!r}; valid: {', '.join(LOCKS)}")
    use_a_recent_interpreter()
    os.umask(0o022)  # a stack started by root runs as another user, who has to be able to read this
    state = ROOT / ".stack"
    state.mkdir(exist_ok=True)
    with open(os.open(state / "bootstrap.lock", os.O_CREAT | os.O_RDWR, 0o600)) as lock:  # nobody else may hold it
        fcntl.flock(lock, fcntl.LOCK_EX)
        return set_up(profile)


def set_up(profile: str) -> int:
    lock = ROOT / LOCKS[profile]
    dependencies = digest(lock.read_bytes())
    project = digest(str(ROOT).encode(), (ROOT / "pyproject.toml").read_bytes(), *packages())
    usable = PYTHON.exists()
    missing_dependencies = not usable or not stamped(lock.name, dependencies)
    missing_project = not usable or not stamped("project", project)
    if not (missing_dependencies or missing_project):
        return 0
    started = time.monotonic()
    if not usable:
        say(f"creating {VENV.name} with {sys.executable}")
        if not create_venv():
            return 1
    if missing_dependencies:
        wanted = sum(1 for line in lock.read_text().splitlines() if line[:1].isalnum())
        say(f"installing {wanted} locked packages into {VENV.name} (the first time takes about a minute)")
        command = [*LOCKED, "--no-compile", "-r", str(lock)]
        if not pip(command, wanted, f"the packages of {lock.name}"):
            return 1
        # byte code: here, because the user who runs the services may not be able to write it
        quiet([str(PYTHON), "-m", "compileall", "-q", "-j", "0", str(VENV / "lib")])
        stamp(lock.name, dependencies)
        if profile == "dev":
            stamp(LOCKS["runtime"], digest((ROOT / LOCKS["runtime"]).read_bytes()))
    if missing_project:
        say("installing the project itself (editable)")
        if not pip(["install", "--no-deps", "--no-build-isolation", "-e", str(ROOT)], 0, "the project"):
            return 1
        stamp("project", project)
    say(f"{VENV.name} is ready after {time.monotonic() - started:.0f} s")
    return 0


def create_venv() -> bool:
    shutil.rmtree(VENV, ignore_errors=True)
    if quiet([sys.executable, "-m", "venv", str(VENV)]):
        return True
    # Debian's python3 without python3-venv has no ensurepip: the interpreter's pip, if any, fetches the locked one
    shutil.rmtree(VENV, ignore_errors=True)
    if quiet([sys.executable, "-m", "venv", "--without-pip", str(VENV)]) and quiet(
        [sys.executable, "-m", "pip", "--python", str(PYTHON), *LOCKED, "--quiet", "-r", str(PIP_LOCK)]
    ):
        return True
    shutil.rmtree(VENV, ignore_errors=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    fail(f"{sys.executable} cannot make virtual environments; on Debian: apt-get install python{version}-venv")
    return False


def pip(arguments: list[str], wanted: int, what: str) -> bool:
    """Run pip, show how far it is, and say what went wrong with its last lines."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    tail: deque[str] = deque(maxlen=12)
    seen = 0
    shown = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line.rstrip())
            if line.startswith(("Collecting", "Requirement already")):
                seen += 1
                shown = progress(f"{seen} of {wanted} packages", shown) if wanted else shown
            elif line.startswith("Installing collected"):
                shown = progress("unpacking", shown)
    progress("", shown)
    if process.returncode == 0:
        return True
    fail(f"pip could not install {what}; its last lines:\n  " + "\n  ".join(tail))
    fail("check the network and the package index that pip is set up with (pip config list), then try again")
    return False


def progress(text: str, before: str) -> str:
    if sys.stderr.isatty() and text != before:
        sys.stderr.write(f"\r\033[K  {text}" if text else "\r\033[K")
        sys.stderr.flush()
    return text


def use_a_recent_interpreter() -> None:
    if sys.version_info >= OLDEST:
        return
    for name in ("python3.11", "python3.12", "python3.13"):
        found = shutil.which(name)
        if found:
            os.execv(found, [found, *sys.argv])  # noqa: S606
    version = ".".join(map(str, OLDEST))
    sys.exit(fail(f"Python {version} or newer is needed; name one with: make up PYTHON=/path/to/python{version}"))


def packages() -> list[bytes]:
    """The packages of the project: an editable install has to be renewed when one is added."""
    return sorted(
        str(found.relative_to(ROOT)).encode()
        for pattern in ("shared/src/*", "services/*/src/*", "infra/*/src/*")
        for found in ROOT.glob(pattern)
        if found.is_dir() and not found.name.endswith(".egg-info") and found.name != "__pycache__"
    )


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamp_file(name: str) -> Path:
    return VENV / f".installed-{name}"


def stamped(name: str, value: str) -> bool:
    path = stamp_file(name)
    return path.exists() and path.read_text() == value


def stamp(name: str, value: str) -> None:
    stamp_file(name).write_text(value)


def quiet(command: list[str]) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


def fail(text: str) -> int:
    print(f"setup: {text}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())

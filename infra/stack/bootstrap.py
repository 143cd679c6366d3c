"""Create the virtual environment that everything else runs in. Standard library only.

`python3 infra/stack/bootstrap.py [runtime|dev]` installs the locked dependencies, checked by their hashes, and the
project itself into `.venv`. It does nothing if a stamp says that the same lock, packages and folder are installed
already, so every make target can call it first. Concurrent calls wait for each other.
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
    """Set up the profile that the command line names; returns the exit status."""
    profile = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    if profile not in LOCKS:
        return fail(f"unknown profile {profile!r}; valid: {', '.join(LOCKS)}")
    use_a_recent_interpreter()
    os.umask(0o022)  # programs of a stack that root starts run as other users, who have to read the packages
    state = ROOT / ".stack"
    state.mkdir(exist_ok=True)
    with open(
        os.open(state / "bootstrap.lock", os.O_CREAT | os.O_RDWR, 0o600)
    ) as lock:  # so that no other user can lock it
        fcntl.flock(lock, fcntl.LOCK_EX)
        return set_up(profile)


def set_up(profile: str) -> int:
    """Install what is missing; returns the exit status."""
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
        count = sum(1 for line in lock.read_text().splitlines() if line[:1].isalnum())
        say(f"installing {count} locked packages into {VENV.name} (this takes about a minute the first time)")
        command = [*LOCKED, "--no-compile", "-r", str(lock)]
        if not pip(command, count, f"the packages of {lock.name}"):
            return 1
        # compile here, because the users who run the services may not write byte code
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
    """Create `.venv` with pip in it; False, after a message, if this interpreter cannot."""
    shutil.rmtree(VENV, ignore_errors=True)
    if quiet([sys.executable, "-m", "venv", str(VENV)]):
        return True
    # Debian's python3 without python3-venv has no ensurepip: the interpreter's pip, if any, installs the locked one
    shutil.rmtree(VENV, ignore_errors=True)
    if quiet([sys.executable, "-m", "venv", "--without-pip", str(VENV)]) and quiet(
        [sys.executable, "-m", "pip", "--python", str(PYTHON), *LOCKED, "--quiet", "-r", str(PIP_LOCK)]
    ):
        return True
    shutil.rmtree(VENV, ignore_errors=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    fail(f"{sys.executable} cannot create virtual environments; on Debian: apt-get install python{version}-venv")
    return False


def pip(arguments: list[str], count: int, what: str) -> bool:
    """Run pip and show its progress over `count` packages; False, after a message, if it fails."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    tail: deque[str] = deque(maxlen=12)
    collected = 0
    text = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line.rstrip())
            if line.startswith(("Collecting", "Requirement already")):
                collected += 1
                text = progress(f"{collected} of {count} packages", text) if count else text
            elif line.startswith("Installing collected"):
                text = progress("unpacking", text)
    progress("", text)
    if process.returncode == 0:
        return True
    fail(f"pip could not install {what}; the end of its output:\n  " + "\n  ".join(tail))
    fail("check the network and the package index that pip uses (pip config list), then try again")
    return False


def progress(text: str, before: str) -> str:
    """Replace the progress line of a terminal; returns the new text."""
    if sys.stderr.isatty() and text != before:
        sys.stderr.write(f"\r\033[K  {text}" if text else "\r\033[K")
        sys.stderr.flush()
    return text


def use_a_recent_interpreter() -> None:
    """Continue with a newer interpreter if this one is too old; exit if there is none."""
    if sys.version_info >= OLDEST:
        return
    for name in ("python3.11", "python3.12", "python3.13"):
        path = shutil.which(name)
        if path:
            os.execv(path, [path, *sys.argv])  # noqa: S606
    version = ".".join(map(str, OLDEST))
    sys.exit(fail(f"Python {version} or newer is needed; to use one: make up PYTHON=/path/to/python{version}"))


def packages() -> list[bytes]:
    """The packages of the project: if one is added, the project has to be installed again."""
    return sorted(
        str(folder.relative_to(ROOT)).encode()
        for pattern in ("shared/src/*", "services/*/src/*", "infra/*/src/*")
        for folder in ROOT.glob(pattern)
        if folder.is_dir() and not folder.name.endswith(".egg-info") and folder.name != "__pycache__"
    )


def digest(*parts: bytes) -> str:
    """SHA-256 of the parts, in hexadecimal."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamp_file(name: str) -> Path:
    """The file that records what was installed."""
    return VENV / f".installed-{name}"


def stamped(name: str, value: str) -> bool:
    """Whether exactly this was installed last."""
    path = stamp_file(name)
    return path.exists() and path.read_text() == value


def stamp(name: str, value: str) -> None:
    """Record what was installed."""
    stamp_file(name).write_text(value)


def quiet(command: list[str]) -> bool:
    """Run a command without its output; whether it succeeded."""
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def say(text: str) -> None:
    """Print a line for the user, on standard error: standard output belongs to the command that follows."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def fail(text: str) -> int:
    """Print an error; returns the exit status 1."""
    print(f"setup: {text}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""The lock of the service images: the packages of requirements.lock that services need, with its versions and hashes.

    .venv/bin/python infra/docker/lock.py            write infra/docker/requirements.lock
    .venv/bin/python infra/docker/lock.py --check    exit status 1 if the file is out of date

It leaves out packages that only the tools of a checkout use, such as the load generator and supervisord.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ROOT / "requirements.lock"
SMALL = Path(__file__).with_name("requirements.lock")
TOOLS = {"locust", "psutil", "rich", "setuptools", "supervisor"}
PLATFORM = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}


def blocks(text: str) -> dict[str, str]:
    """Each locked package with its hashes, by canonical name."""
    sections = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {canonicalize_name(re.split(r"[=\[ ;]", block, maxsplit=1)[0]): block for block in sections if "==" in block}


def needed() -> set[str]:
    """The direct dependencies of the services and all that these need, according to the installed packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pending = [Requirement(line) for line in project["dependencies"]]
    pending = [requirement for requirement in pending if requirement.name not in TOOLS]
    seen: set[tuple[str, str]] = set()
    while pending:
        requirement = pending.pop()
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) not in seen:
                seen.add((requirement.name, extra))
                pending.extend(_requirements(requirement.name, extra))
    return {canonicalize_name(name) for name, _ in seen}


def _requirements(name: str, extra: str) -> Iterator[Requirement]:
    for line in requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({**PLATFORM, "extra": extra}):
            yield requirement


def render() -> str:
    """The text of the lock."""
    locked = blocks(WHOLE.read_text())
    # universal locks hold packages that only other systems or interpreters need
    return "".join(locked[name] for name in sorted(needed()) if name in locked)


def main(arguments: list[str]) -> int:
    """Write the lock, or check it; returns the exit status."""
    text = render()
    if arguments == ["--check"]:
        same = SMALL.exists() and SMALL.read_text() == text
        print(
            "up to date" if same else "out of date; to write it again: .venv/bin/python infra/docker/lock.py",
            file=sys.stderr,
        )
        return 0 if same else 1
    SMALL.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

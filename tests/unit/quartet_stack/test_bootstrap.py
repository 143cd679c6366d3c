"""What the bootstrap installs is what was locked, also where the interpreter has no ensurepip."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from quartet_stack.layout import REPOSITORY

BOOTSTRAP = REPOSITORY / "infra" / "stack" / "bootstrap.py"


def test_a_borrowed_pip_is_fetched_by_its_hash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("bootstrap", BOOTSTRAP)
    assert spec is not None
    assert spec.loader is not None
    bootstrap = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    called: list[list[str]] = []

    def without_ensurepip(command: list[str]) -> bool:
        called.append(command)
        return "venv" not in command or "--without-pip" in command

    monkeypatch.setattr(bootstrap, "VENV", tmp_path / "venv")
    monkeypatch.setattr(bootstrap, "quiet", without_ensurepip)
    assert bootstrap.create_venv()
    last = called[-1]
    assert "install" in last
    assert "--require-hashes" in last
    lock = Path(last[last.index("-r") + 1]).read_text()
    assert re.search(r"^pip==\S+ \\\n +--hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)


def test_nothing_is_installed_without_hashes_but_the_project_itself() -> None:
    """Every call of pip in what sets up a machine or an image; the editable project brings no dependency along."""
    calls = {
        "infra/stack/bootstrap.py": (r'\*LOCKED|"install"', '"--no-deps", "--no-build-isolation", "-e"'),
        "infra/stack/src/quartet_stack/servers/components.py": (r'"install"', None),
        "infra/docker/service.Dockerfile": (r"pip install", None),
    }
    for name, (call, exempt) in calls.items():
        text = (REPOSITORY / name).read_text()
        found = [text[one.start() : one.start() + 250] for one in re.finditer(call, text)]
        assert found
        for words in found:
            assert "--require-hashes" in words or "*LOCKED" in words or (exempt is not None and exempt in words[:80])
    others = subprocess.run(
        ["git", "grep", "-lE", r"pip[\"', -]+install|\"install\"", "--", "infra", "Makefile", "docker-compose.yml"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(others) <= calls.keys()

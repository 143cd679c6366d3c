"""The contents of the service images."""

import importlib.util
import json
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType

import pytest

from quartet_stack.layout import REPOSITORY
from quartet_stack.settings import SERVICES
from tests.unit.quartet_stack.test_readiness import DEGRADED, HTTP_NOT_READY, READY, answering

FOLDER = REPOSITORY / "infra" / "docker"
DOCKERFILE = (FOLDER / "service.Dockerfile").read_text()


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_small_lock_is_a_subset_of_the_whole_one_and_complete() -> None:
    lock = script("lock")
    whole = lock.blocks((REPOSITORY / "requirements.lock").read_text())
    small = lock.blocks((FOLDER / "requirements.lock").read_text())
    assert small
    assert all(whole[name] == block for name, block in small.items())
    assert (FOLDER / "requirements.lock").read_text() == lock.render(), (
        "renew it: .venv/bin/python infra/docker/lock.py"
    )


def test_the_small_lock_has_no_tool_and_every_hash() -> None:
    lock = script("lock")
    small = lock.blocks((FOLDER / "requirements.lock").read_text())
    assert not lock.TOOLS & small.keys()
    assert all("--hash=sha256:" in block for block in small.values())
    assert requires("quartet")


def test_the_dockerfile_needs_no_frontend_image_no_shell_and_no_root() -> None:
    assert not re.search(r"^#\s*syntax=", DOCKERFILE, re.MULTILINE)
    assert len(re.findall(r'^ENTRYPOINT \["python", "-m", "', DOCKERFILE, re.MULTILINE)) == len(SERVICES) + 2
    assert not re.search(r"^(ENTRYPOINT|CMD) [^\[]", DOCKERFILE, re.MULTILINE)
    for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE):
        if any(f"AS {name}" in stage for name in ("service", "console", "sandbox")):
            assert "USER 10001:10001" in stage
    assert "--require-hashes" in DOCKERFILE
    assert all(f'"{name}_service"' in DOCKERFILE for name in SERVICES)


def test_the_dockerfile_copies_only_files_of_the_context() -> None:
    kept = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(?!/)((?:\S+ )+)\S+$", DOCKERFILE, re.MULTILINE)
    sources = [word.replace("${SERVICE}", "*") for words in copied for word in words.split()]
    assert sources
    assert set(sources) == set(kept)
    assert all(list(REPOSITORY.glob(pattern)) for pattern in kept)


@pytest.mark.parametrize(("answer", "status"), [(READY, 0), (DEGRADED, 1), (HTTP_NOT_READY, 1)])
def test_the_health_check_waits_for_ready_and_does_not_accept_degraded(answer: bytes, status: int) -> None:
    found = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    _, *arguments = json.loads(found[1])
    with answering(answer) as port:
        done = subprocess.run(
            [sys.executable, *arguments], env={"HTTP_PORT": str(port)}, capture_output=True, check=False, timeout=30
        )
    assert done.returncode == status


def test_slim_deletes_no_module_that_it_imports() -> None:
    slim = script("slim")
    assert {"pip", "setuptools"} <= set(slim.UNUSED)
    gone = [Path(name).as_posix().replace("/", ".") for name in slim.UNUSED]
    assert not [name for name in slim.IMPORTED if any(name.startswith(prefix) for prefix in gone)]

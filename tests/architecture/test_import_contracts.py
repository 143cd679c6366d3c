"""Each import contract is proven by planting the violation that it is there to catch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (
    "shared/src",
    "infra/audit/src",
    *(f"services/{name}/src" for name in ("order", "payment", "inventory", "shipping", "console")),
)
PLANTED = {
    "services never import each other": ("services/order/src/order_service/api.py", "import payment_service.domain"),
    "rules and vocabulary know no transport": ("services/payment/src/payment_service/handlers.py", "import sqlalchemy"),
    "modes never import each other": (
        "shared/src/sagakit/modes/kafka/transport.py",
        "import sagakit.modes.sns_sqs.transport",
    ),
    "the machinery knows no shop": ("shared/src/sagakit/engine/batch.py", "import checkout.messages"),
    "sagakit is built in layers": ("shared/src/sagakit/engine/relay.py", "import sagakit.web.app"),
    "the console reaches services over HTTP only": (
        "services/console/src/console_service/upstream.py",
        "import asyncpg",
    ),
    "nothing depends on the auditor": ("services/order/src/order_service/store.py", "import checkout_audit"),
}


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(folder / source) for source in SOURCES)
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for source in SOURCES:
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return tmp_path


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_violation_breaks_its_contract(copy: Path, contract: str) -> None:
    file, violation = PLANTED[contract]
    target = copy / file
    target.write_text(target.read_text() + f"\n{violation}  # noqa\n")
    linted = _lint(copy)
    assert linted.returncode == 1, linted.stdout
    assert any(contract in line and "BROKEN" in line for line in linted.stdout.splitlines()), linted.stdout
    assert "1 broken" in linted.stdout


def test_modes_are_told_apart_in_one_place_only() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for source in SOURCES
        for path in sorted((ROOT / source).rglob("*.py"))
        if "if mode ==" in path.read_text()
    ]
    assert guilty == []

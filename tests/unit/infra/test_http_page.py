"""docs/http.md names every problem code that the code answers, no other, and a test for each row."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from provider_sandbox.rules import _PRECONDITIONS
from sagakit.settings import Settings
from sagakit.web.errors import _CODES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/http.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| input", "| ---"))]
TESTS = {path.name: path.read_text() for path in sorted((ROOT / "tests/unit").rglob("test_*.py"))}
SOURCES = [path for top in ("shared", "services", "infra") for path in (ROOT / top).rglob("src/**/*.py")]
CODE_AT = {"Problem": 1, "_refuse": 1, "__init__": 1, "Conflict": 0, "NotAllowed": 0, "Invalid": 2}
"""Which argument of these calls is the code."""
ELSEWHERE = {"code", "self.code", "error.code", "missing", "excluding"}
"""Codes that are passed on: their own calls, or _PRECONDITIONS, have them."""


def _codes_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        at = CODE_AT.get(name, len(node.args))
        if at >= len(node.args) or (name in ("__init__", "_refuse") and not _is_status(node.args[0])):
            continue
        constants = [each.value for each in ast.walk(node.args[at]) if isinstance(each, ast.Constant)]
        codes = [value for value in constants if isinstance(value, str)]
        assert codes or ast.unparse(node.args[at]) in ELSEWHERE, f"{path.name}:{node.lineno}: which code?"
        yield from codes


def _is_status(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def test_the_page_names_every_code_that_is_answered_and_no_other() -> None:
    answered = {code for path in SOURCES for code in _codes_in(path)} | set(_CODES.values())
    answered |= {code for _, missing, _, excluding in _PRECONDITIONS.values() for code in (missing, excluding)}
    named = {code for row in ROWS for code in re.findall(r"`([a-z]\w+)`", row.split("|")[2])}
    assert named == answered


def test_every_row_names_tests_that_exist() -> None:
    assert len(ROWS) > 40
    wrong = []
    for row in ROWS:
        file, named = "", re.findall(r"`([a-z_]+\.py|…)::(test_\w+)`", row.split("|")[4])
        if not named:
            wrong.append(row)
        for where, name in named:
            file = file if where == "…" else where
            if f"def {name}(" not in TESTS.get(file, ""):
                wrong.append(f"{file}::{name}")
    assert wrong == []


def test_the_bounds_are_those_of_the_settings() -> None:
    named = re.findall(r"`([A-Z]+_[A-Z_]+)` \(([\d,.]+)", PAGE)
    assert len(named) >= 9
    for name, value in named:
        assert float(value.replace(",", "")) == Settings.model_fields[name.lower()].default, name


def test_every_bound_of_a_connection_stands_on_the_page() -> None:
    bounds = [name.upper() for name in Settings.model_fields if re.fullmatch(r"http_\w+_(max|timeout)", name)]
    assert [name for name in bounds if f"`{name}`" not in PAGE] == []

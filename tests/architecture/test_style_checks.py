"""Each rule of style that a command checks is proven by planting the violation that it is there to catch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE, TEST, MODE = "shared/src/sagakit/planted.py", "tests/unit/test_planted.py", "shared/src/sagakit/modes/planted"
FINE = '''"""A module with nothing wrong in it."""


class Fine:
    """A class."""

    def method(self) -> int:
        """A number."""
        return 1


def fine(number: int) -> int:
    """The number, which is positive.

    Raises:
        ValueError: It is not.
    """
    if number <= 0:
        raise ValueError("not positive")
    return number
'''
BRANCHES = "".join(f"    if number == {n}:\n        number += 1\n" for n in range(10))
COMPLEX = f'"""A module."""\n\n\ndef many(number: int) -> int:\n    """A number."""\n{BRANCHES}    return number\n'
RULES = {
    "C901": COMPLEX,
    "D100": FINE.replace('"""A module with nothing wrong in it."""', ""),
    "D101": FINE.replace('    """A class."""\n\n', ""),
    "D102": FINE.replace('        """A number."""\n', ""),
    "D103": COMPLEX.replace('    """A number."""\n', ""),
    "D205": FINE.replace("positive.\n\n    Raises", "positive.\n    Raises"),
    "DOC501": FINE.replace("    Raises:\n        ValueError: It is not.\n", "    It raises.\n"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the real settings and one module with nothing wrong in it."""
    (tmp_path / MODE).mkdir(parents=True)
    (tmp_path / TEST).parent.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests/sizes", tmp_path / "tests/sizes")
    (tmp_path / MODULE).write_text(FINE)
    return tmp_path


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """One of the commands of tests/run, in that tree."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(
        command, cwd=tree, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", [("ruff", "check", "--no-cache", "."), ("tests/sizes",), ("codespell",)])
def test_a_tree_with_nothing_wrong_in_it_passes(tree: Path, command: tuple[str, ...]) -> None:
    checked = run(tree, *command)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("rule", RULES)
def test_a_planted_violation_of_a_ruff_rule_is_found(tree: Path, rule: str) -> None:
    (tree / MODULE).write_text(RULES[rule])
    checked = run(tree, "ruff", "check", "--no-cache", "--output-format", "json", ".")
    assert checked.returncode == 1
    assert rule in {violation["code"] for violation in json.loads(checked.stdout)}


def test_tests_need_no_docstrings(tree: Path) -> None:
    (tree / TEST).write_text("def test_it() -> None:\n    raise NotImplementedError\n")
    assert run(tree, "ruff", "check", "--no-cache", ".").returncode == 0


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({MODULE: 251}, MODULE),
        ({"tests/chaos/planted.py": 251}, "tests/chaos/planted.py"),
        ({TEST: 361}, TEST),
        ({f"{MODE}/{name}.py": 241 for name in "abc"}, MODE),
    ],
    ids=["module", "tool of the tests", "test", "mode folder"],
)
def test_a_file_or_folder_that_is_one_line_too_long_is_found(tree: Path, files: dict[str, int], named: str) -> None:
    for file, lines in files.items():
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text("#\n" * (lines - 1))
    assert run(tree, "tests/sizes").returncode == 0
    (tree / file).write_text("#\n" * (lines + 2 * (len(files) > 1)))
    checked = run(tree, "tests/sizes")
    assert checked.returncode == 1
    assert f"{named}: " in checked.stdout


@pytest.mark.parametrize("file", [MODULE, "docs/planted.md", "infra/planted.yaml"])
def test_a_misspelt_word_is_found(tree: Path, file: str) -> None:
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    (tree / file).write_text("# It will be rec" + "ieved.\n")
    checked = run(tree, "codespell")
    assert checked.returncode != 0
    assert file in checked.stdout


def test_the_suite_and_make_lint_run_each_check() -> None:
    suite, makefile = (ROOT / "tests/run").read_text(), (ROOT / "Makefile").read_text()
    lint = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    for command in ("ruff check", "ruff format --check", "mypy", "lint-imports", "codespell", "tests/sizes"):
        assert command in suite
        assert command in lint

"""pytest itself with the plugin, over a few small tests: in one process and with workers."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]
SMALL = {
    "tests/unit/small/test_small.py": """
import pytest

@pytest.fixture
def postgres_server(): ...

@pytest.fixture
def database(postgres_server): ...

def test_plain(): ...

def test_with_a_database(database): ...

@pytest.mark.nightly
def test_long(): ...
""",
    "tests/modes/test_small_kafka.py": """
import pytest

pytestmark = pytest.mark.carrier("kafka")

def test_kafka(): ...
""",
    "tests/modes/test_small_temporal.py": """
import pytest

pytestmark = pytest.mark.carrier("temporal", "orchestration")

def test_temporal(): ...
""",
    "tests/e2e/test_small_stack.py": """
import pytest
from sagakit.modes import MODES

@pytest.fixture(scope="session", params=list(MODES))
def stack(request): ...

def test_stack(stack): ...

def test_unlucky(stack):
    assert True
""",
}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name, text in SMALL.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    for name in ("FAST", "MODE", "NIGHTLY", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TEST_STATIC_SECONDS", "7")
    return pytester


def run(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Workers are processes; without them all happens in this one, which is quicker."""
    how = suite.runpytest_subprocess if "-n3" in arguments else suite.runpytest_inprocess
    return how("-p", "tests.suite.plugin", "-p", "no:cacheprovider", "--import-mode=importlib", *arguments)


# two of three workers run stacks, and the third ends when only stacks are left
ALONE, WORKERS = ("-n0",), ("-n3", "--dist", "loadscope", "--no-loadscope-reorder")


@pytest.mark.parametrize(
    ("workers", "choice", "passed", "left_out"),
    [
        (ALONE, {}, 20, {"are long": 1}),
        (ALONE, {"NIGHTLY": "1"}, 21, {}),
        (ALONE, {"FAST": "1"}, 1, {"are long": 1, "need a server (FAST=1)": 19}),
        (ALONE, {"FAST": "1", "NIGHTLY": "1"}, 2, {"need a server (FAST=1)": 19}),
        (ALONE, {"MODE": "temporal"}, 4, {"are long": 1, "are not about MODE": 16}),
        (ALONE, {"MODE": "temporal-choreography"}, 3, {"are long": 1, "are not about MODE": 17}),
        pytest.param(
            WORKERS, {"MODE": "kafka"}, 4, {"are long": 1, "are not about MODE": 16}, marks=pytest.mark.thorough
        ),
    ],
)
def test_the_choice_is_run_and_the_rest_is_counted(
    suite: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    workers: tuple[str, ...],
    choice: dict[str, str],
    passed: int,
    left_out: dict[str, int],
) -> None:
    for name, value in choice.items():
        monkeypatch.setenv(name, value)
    done = run(suite, *workers)
    done.assert_outcomes(passed=passed, deselected=sum(left_out.values()) if workers == ALONE else 0)
    lines = [line for line in done.outlines if "tests deselected" in line]
    assert len(lines) == len(left_out)
    for reason, tests in left_out.items():
        assert any(line.startswith(f"{tests} tests deselected") and reason in line for line in lines), lines


@pytest.mark.parametrize(
    "workers", [ALONE, pytest.param(WORKERS, marks=pytest.mark.thorough)], ids=["one process", "workers"]
)
def test_the_report_comes_before_the_closing_line(suite: pytest.Pytester, workers: tuple[str, ...]) -> None:
    (suite.path / "tests/unit/small/test_fails.py").write_text("def test_fails():\n    assert False\n")
    done = run(suite, *workers)
    lines = [line for line in done.outlines if line.strip()]
    assert "1 failed, 20 passed" in lines[-1]
    done.stdout.fnmatch_lines(
        [
            "*time budgets*",
            "static checks * 7 *",
            "unit tests  * 2 *",
            "unit tests on PostgreSQL * 1 *",
            "conformance: kafka * 1 *",
            "end to end: temporal-orchestration * 2 *",
            "the whole run * 21 *",
            "*1 failed, 20 passed*",
        ]
    )


def test_without_tests_run_there_is_no_report(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_STATIC_SECONDS")
    assert "time budgets" not in run(suite, "-n0").stdout.str()


def test_an_unknown_mode_is_said_in_one_line(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", "rabbit")
    done = run(suite, "-n0")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert any("'rabbit' is unknown" in line for line in done.errlines)

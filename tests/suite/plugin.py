"""The suite's pytest plugin: which tests run, in which order over the workers, and the report of budgets.

`tests/run` starts the workers (TEST_WORKERS); without them, `pytest` runs everything in one process as usual.
"""

import os
import time
from collections import Counter
from collections.abc import Generator, Mapping
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.suite.budgets import BUDGETS, Budget
from tests.suite.choice import Choice, chosen
from tests.suite.parts import needs_of, part_of
from tests.suite.report import Ledger
from tests.suite.turns import group, next_group

STATIC_SECONDS: Final = "TEST_STATIC_SECONDS"
"""The variable in which tests/run passes the seconds of the static checks; without it there is no report."""

LEFT_OUT: Final = "tests_left_out"
UNKNOWN: Final = Budget(60)
CHOICE: Final = pytest.StashKey[Choice]()


class Groups(LoadScopeScheduling):
    """Gives whole groups to workers that are idle; see tests/suite/turns.py."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        others = [groups for other, groups in self.assigned_work.items() if other is not node]
        beside = [[name for name, tests in groups.items() if not all(tests.values())] for groups in others]
        name = next_group(self.workqueue, beside)
        if name is None:
            node.shutdown()  # when it has finished what it has
            return
        self.workqueue.move_to_end(name, last=False)
        super()._assign_work_unit(node)


class Report:
    """Keeps the ledger and prints it, in the process that the workers report to, or the only one."""

    def __init__(self, ledger: Ledger, static: float) -> None:
        self._ledger, self._static, self._began = ledger, static, time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        part = getattr(report, "part", None)
        if part is not None:
            self._ledger.add(part, report.nodeid, report.duration)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what was left out from any worker: all have collected the same."""
        self.left_out(getattr(node, "workeroutput", {}).get(LEFT_OUT, {}))

    def left_out(self, reasons: Mapping[str, int]) -> None:
        self._ledger.left_out = reasons or self._ledger.left_out

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("time budgets")
        whole = self._static + time.monotonic() - self._began
        for line in self._ledger.lines(self._static, whole):
            terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "nightly: long; run by NIGHTLY=1 only")
    config.addinivalue_line("markers", "thorough: takes many seconds without a server; FAST=1 leaves it out")
    config.addinivalue_line("markers", "carrier(substrate, style): starts a broker, and tries what it carries")
    try:
        config.stash[CHOICE] = choice = chosen()
    except ValueError as wrong:
        raise pytest.UsageError(str(wrong)) from None
    static = os.environ.get(STATIC_SECONDS)
    if static and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(Ledger(choice), float(static)), "suite-report")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    return Groups(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select and sort, after the hooks of the folders, which choose tests and their order within a group."""
    select(config, items)
    if hasattr(config, "workerinput"):
        longest_first(items)


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what the choice leaves out, and count it by reason."""
    choice = config.stash[CHOICE]
    verdicts = [(item, choice.leaves_out(needs_of(item))) for item in items]
    items[:] = [item for item, reason in verdicts if reason is None]
    gone = [item for item, reason in verdicts if reason is not None]
    if gone:
        config.hook.pytest_deselected(items=gone)
    reasons = dict(Counter(reason for _, reason in verdicts if reason is not None))
    if hasattr(config, "workeroutput"):
        config.workeroutput[LEFT_OUT] = reasons
    elif (report := config.pluginmanager.get_plugin("suite-report")) is not None:
        report.left_out(reasons)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort whole groups by expected duration: a group's share of the budget of its part."""
    parts = [(group(item.nodeid), part_of(item)) for item in items]
    tests, seconds = Counter(part for _, part in parts), Counter[str]()
    for name, part in parts:
        seconds[name] += BUDGETS.get(part, UNKNOWN).of(chosen()) / tests[part]  # type: ignore[assignment]
    items.sort(key=lambda item: (-seconds[group(item.nodeid)], group(item.nodeid)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what UTF-8, in which workers report, cannot encode."""
    report = yield
    report.part = part_of(item)  # type: ignore[attr-defined]
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report

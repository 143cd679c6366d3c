"""How the suite is spread over its workers: what shares a running stack or a server stays together, longest first.

`tests/run` starts the workers (TEST_WORKERS); without them, `pytest` runs everything in one process as usual.
"""

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from sagakit.modes import MODES


class Groups(LoadScopeScheduling):
    """Gives whole groups to workers, in the order of the collection, each to the first that has nothing left to do."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """The tests of a mode's running stack, those of a file, or those of a folder of unit tests."""
    path, _, parameters = nodeid.partition("[")
    file = path.partition("::")[0]
    if file.startswith("tests/e2e/"):
        return next((mode for mode in MODES if mode in parameters), file)
    return str(Path(file).parent) if file.startswith("tests/unit/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    return Groups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        places = {group(item.nodeid): place for place, item in enumerate(items)}
        turns = {name: _turn(name, list(places)) for name in places}
        items.sort(key=lambda item: turns[group(item.nodeid)])


def _turn(name: str, groups: Sequence[str]) -> float:
    """Long ones first, so that no worker begins one last; a stack, which wants the processor, beside a broker's test,
    which waits."""
    stacks = ["tests/e2e/test_switching.py", *MODES]
    brokers = [one for one in groups if one.startswith("tests/modes/")]
    if name in stacks:
        return stacks.index(name)
    if name in brokers:
        return brokers.index(name) + 0.5
    return 1000 if name.startswith("tests/simulation/") else 2000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Workers report in UTF-8, which cannot say all that some tests are about."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def worker_number() -> int:
    """0 in the first worker and where there is none; each has stacks and ports of its own."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

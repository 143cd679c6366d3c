"""Load the suite's own plugin; see tests/suite and docs/testing.md."""

import os

pytest_plugins = ["tests.suite.plugin"]


def worker_number() -> int:
    """The number of this worker, 0 without workers; each has stacks and ports of its own."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

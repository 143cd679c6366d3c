"""What the tests of several modes share."""

from collections.abc import Iterator

import pytest

from tests.modes.servers import ProcessServer, running


@pytest.fixture(scope="module")
def server() -> Iterator[ProcessServer]:
    """A Temporal server for the tests of one module; suites of other transports have a `server` of their own."""
    with running("temporal") as server:
        yield server

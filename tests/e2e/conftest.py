"""The stack under test: native, in a folder and on ports of its own, switched from mode to mode."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from native_stack import api
from sagakit.modes import MODES
from tests.e2e.stack import Stack

FOLDER = Path(os.environ.get("TEST_STACK_DIR", ".stack/test")).resolve()
OFFSET = int(os.environ.get("TEST_PORT_OFFSET", "10000"))
DEADLINE = 8.0
CHOSEN = [mode for mode in MODES if mode in os.environ.get("TEST_MODES", ",".join(MODES)).split(",")]
SETTINGS = {
    "SAGA_DEADLINE": str(DEADLINE),
    "SAGA_NUDGE_AFTER": "1",
    "PROVIDERS": "sandbox",
    "STACK": "native",
    "REPLICAS": "1",
}


@pytest.fixture(scope="session", params=CHOSEN)
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack in one mode. The data lives on from mode to mode, as it does for users; it is deleted at the end."""
    environment = api.up(request.param, stack_dir=FOLDER, port_offset=OFFSET, env=SETTINGS)
    yield Stack(request.param, FOLDER, environment)
    if request.param == CHOSEN[-1]:
        api.down(stack_dir=FOLDER, delete_data=True)

"""The stack under test: native, in a folder and on ports of its own, switched from mode to mode."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from quartet_stack import api
from sagakit.modes import MODES
from tests.conftest import worker_number
from tests.e2e.failpoints import disarm
from tests.e2e.stack import Stack

FOLDER = Path(f"{os.environ.get('TEST_STACK_DIR', '.stack/test')}-{worker_number()}").resolve()
CHAOS = FOLDER.with_name(f"{FOLDER.name}-chaos")
OFFSET = int(os.environ.get("TEST_PORT_OFFSET", "10000")) + 100 * worker_number()
DEADLINE = 8.0
SETTINGS = {
    "SAGA_DEADLINE": str(DEADLINE),
    "SAGA_NUDGE_AFTER": "1",
    "PROVIDERS": "sandbox",
    "STACK": "native",
    "REPLICAS": "1",
    "FAULT_INJECTION": "on",
    "OBSERVABILITY": "1",
    "TEMPORAL_UI": "off",
}
FIRST = ("test_checkout", "test_seen")  # they ask what processes remember, and later tests kill these
LAST = (
    "test_replicas",
    "test_the_audit_is_clean",
    "test_standby",
    "test_switching",
    "test_chaos",
    "test_bench",
    "test_alerts",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort: FIRST, the rest, LAST in each mode; tests with a stack of their own are after all modes."""
    items[:] = filter(_suits, items)
    for item in filter(_is_long, items):
        item.add_marker(pytest.mark.nightly)
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    ranks = {item: _rank(item) for item in here}
    ordered = iter(sorted(here, key=lambda item: ranks[item]))
    items[:] = [next(ordered) if item in ranks else item for item in items]


def _rank(item: pytest.Item) -> int:
    return -1 if item.path.stem in FIRST else next((n for n, name in enumerate(LAST, 1) if name in item.nodeid), 0)


def _suits(item: pytest.Item) -> bool:
    """Whether a module's function `suits(**parameters)`, if it has one, wants tests with these parameters."""
    return _says(item, "suits", otherwise=True)


def _is_long(item: pytest.Item) -> bool:
    """Whether a module's function `nightly(**parameters)`, if it has one, leaves this test to NIGHTLY=1."""
    return _says(item, "nightly", otherwise=False)


def _says(item: pytest.Item, name: str, otherwise: bool) -> bool:
    says, callspec = getattr(getattr(item, "module", None), name, None), getattr(item, "callspec", None)
    return otherwise if says is None or callspec is None else bool(says(**callspec.params))


@pytest.fixture(scope="session")
def _folder() -> Iterator[None]:
    yield
    api.down(stack_dir=FOLDER, delete_data=True)


@pytest.fixture(scope="session", params=list(MODES))
def stack(request: pytest.FixtureRequest, _folder: None) -> Stack:
    """The stack in one mode. The data stays from mode to mode, as for users, and is deleted at the end."""
    environment = api.up(request.param, stack_dir=FOLDER, port_offset=OFFSET, env=SETTINGS)
    return Stack(request.param, FOLDER, environment)


@pytest.fixture
def chaos_stack() -> Iterator[None]:
    """For tests that start a stack of their own, in CHAOS or from a copy of the tree: one at a time is enough."""
    api.down(stack_dir=FOLDER, delete_data=True)
    yield
    api.down(stack_dir=CHAOS, delete_data=True)


@pytest.fixture
async def disarmed(stack: Stack) -> AsyncIterator[None]:
    """Remove failpoints that were not reached, after the test."""
    yield
    await disarm(stack)

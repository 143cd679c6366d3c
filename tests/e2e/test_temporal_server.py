"""TEMPORAL_STORE=postgresql: orders complete over Temporal's own server, and workflows outlive it and its database.

The server is built from its Go module, which takes minutes the first time.
"""

import os
from typing import Final

import pytest
from temporalio.client import Client, WorkflowExecutionDescription

from quartet_stack import api
from quartet_stack.errors import StackError
from tests.e2e.conftest import CHAOS, OFFSET, SETTINGS
from tests.e2e.shop import audit
from tests.e2e.stack import Stack, basket

pytestmark = pytest.mark.nightly

MODE: Final = "temporal-orchestration"
PATIENT: Final = {"SAGA_DEADLINE": "60", "SAGA_NUDGE_AFTER": "60"}
"""Nobody but the server may go on with an order that waits, and no order ends because it waits."""


@pytest.fixture
def on_postgresql(chaos_stack: None) -> Stack:
    """A stack of its own over Temporal's server."""
    settings = {**SETTINGS, **PATIENT, "TEMPORAL_STORE": "postgresql"}
    try:
        environment = api.up(MODE, CHAOS, OFFSET, settings)
    except StackError as error:
        if "no go in PATH" not in str(error) or os.environ.get("CI"):
            raise
        pytest.skip(f"MISSING, so nothing of it was tested: Temporal's server: {error}")
    return Stack(MODE, CHAOS, environment)


async def workflow(stack: Stack, order_id: str) -> WorkflowExecutionDescription:
    """What the server says of the workflow of an order."""
    client = await Client.connect(stack.environment["TEMPORAL_ADDRESS"])
    return await client.get_workflow_handle(order_id).describe()


@pytest.mark.timeout(1800)
async def test_workflows_are_in_postgresql_and_outlive_their_server(on_postgresql: Stack) -> None:
    stack = on_postgresql
    assert {"temporal", "temporal-db"} <= api.processes(CHAOS).keys()
    done = (await stack.order(basket())).json()
    assert (await stack.settled(done["order_id"]))["status"] == "COMPLETED"
    stack.stop("payment")
    waiting = (await stack.order(basket(), wait=None)).json()["order_id"]
    before = await workflow(stack, waiting)
    for name in ("temporal", "temporal-db"):
        stack.kill(name)
    stack.start("payment")
    assert (await stack.settled(waiting))["status"] == "COMPLETED"
    after = await workflow(stack, waiting)
    assert after.run_id == before.run_id, "nobody started it anew"
    assert (await workflow(stack, done["order_id"])).run_id
    await audit(stack)

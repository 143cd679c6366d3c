"""Workflows stay deterministic: what earlier versions began, this one continues in the same way.

The histories are those of real runs; `RECORD_HISTORIES=1 pytest tests/modes -k temporal` records them anew. One that
fails here may belong to orders that are under way somewhere: do not replace it lightly.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from checkout.messages import PUBLIC
from checkout.saga import CHECKOUT
from sagakit.modes.temporal.choreography import ReactionsWorkflow, ReactionTable
from sagakit.modes.temporal.orchestration import SagaWorkflow
from sagakit.modes.temporal.wire import CONVERTER
from sagakit.saga import Saga
from tests.unit.modes_temporal.roles import choreography_role

HISTORIES = Path(__file__).parent / "histories"
REFUSED = ("out_of_stock", "payment_declined", "shipping_unavailable")
ORCHESTRATED = ("completed", *REFUSED, "customer_requested", "timed_out")
CHOREOGRAPHED = [
    f"{service}-{outcome}"
    for service in ("order", "inventory", "payment", "shipping")
    for outcome in ("completed", *REFUSED)
]


async def replay(name: str, kind: type[Any], saga: Saga = CHECKOUT) -> None:
    SagaWorkflow.saga, SagaWorkflow.wire = saga, PUBLIC
    text = (HISTORIES / f"{name}.json").read_text()
    began = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    history = WorkflowHistory.from_json(began["workflowId"], text)
    await Replayer(workflows=[kind], data_converter=CONVERTER).replay_workflow(history)


@pytest.mark.parametrize("outcome", ORCHESTRATED)
async def test_an_orchestrated_history_replays(outcome: str) -> None:
    await replay(f"orchestration-{outcome}", SagaWorkflow)


@pytest.mark.parametrize("what", CHOREOGRAPHED)
async def test_a_choreographed_history_replays(what: str) -> None:
    choreography_role(what.partition("-")[0])
    await replay(f"choreography-{what}", ReactionsWorkflow)


async def test_a_saga_in_another_order_does_not_replay() -> None:
    with pytest.raises(workflow.NondeterminismError):
        await replay("orchestration-completed", SagaWorkflow, dataclasses.replace(CHECKOUT, steps=CHECKOUT.steps[::-1]))


async def test_a_service_with_other_reactions_does_not_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    choreography_role("payment")
    table = ReactionsWorkflow.tables["payment"]
    swapped = dict(zip(table.reactions, reversed([*table.reactions.values()]), strict=True))
    monkeypatch.setitem(ReactionsWorkflow.tables, "payment", ReactionTable(table.wire, swapped, table.last))
    with pytest.raises(workflow.NondeterminismError):
        await replay("choreography-payment-completed", ReactionsWorkflow)

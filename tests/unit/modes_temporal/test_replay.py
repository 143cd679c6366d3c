"""Workflows stay deterministic: what earlier versions began, this one continues in the same way.

The histories are those of real runs; `RECORD_HISTORIES=1 pytest tests/modes -k temporal` records them anew. One that
fails here may belong to orders that are under way somewhere: do not replace it lightly.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from checkout.messages import PUBLIC
from checkout.saga import CHECKOUT
from sagakit.modes.temporal.choreography import ReactionsWorkflow, Table
from sagakit.modes.temporal.orchestration import SagaWorkflow, plan_of
from sagakit.modes.temporal.wire import CONVERTER
from sagakit.saga import Saga
from tests.unit.modes_temporal.parts import member

HISTORIES = Path(__file__).parent / "histories"
REFUSED = ("out_of_stock", "payment_declined", "shipping_unavailable")
ORCHESTRATED = ("completed", *REFUSED, "customer_requested", "timed_out")
CHOREOGRAPHED = [
    f"{service}-{outcome}"
    for service in ("order", "inventory", "payment", "shipping")
    for outcome in ("completed", *REFUSED)
]
WORKFLOWS: Sequence[type[Any]] = (SagaWorkflow, ReactionsWorkflow)


async def replay(name: str, workflow_id: str, saga: Saga = CHECKOUT) -> None:
    SagaWorkflow.plan = plan_of(saga, PUBLIC)
    history = WorkflowHistory.from_json(workflow_id, (HISTORIES / f"{name}.json").read_text())
    await Replayer(workflows=WORKFLOWS, data_converter=CONVERTER).replay_workflow(history)


@pytest.mark.parametrize("outcome", ORCHESTRATED)
async def test_an_orchestrated_history_replays(outcome: str) -> None:
    await replay(f"orchestration-{outcome}", "an-order")


@pytest.mark.parametrize("what", CHOREOGRAPHED)
async def test_a_choreographed_history_replays(what: str) -> None:
    service = what.partition("-")[0]
    member(service)
    await replay(f"choreography-{what}", f"{service}/an-order")


async def test_a_saga_in_another_order_does_not_replay() -> None:
    with pytest.raises(workflow.NondeterminismError):
        await replay("orchestration-completed", "an-order", dataclasses.replace(CHECKOUT, steps=CHECKOUT.steps[::-1]))


async def test_a_service_with_other_reactions_does_not_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    member("payment")
    table = ReactionsWorkflow.tables["payment"]
    swapped = dict(zip(table.reactions, reversed([*table.reactions.values()]), strict=True))
    monkeypatch.setitem(ReactionsWorkflow.tables, "payment", Table(table.wire, swapped, table.last))
    with pytest.raises(workflow.NondeterminismError):
        await replay("choreography-payment-completed", "payment/an-order")

"""Workflows stay deterministic: what earlier versions began, this one continues in the same way.

The histories are those of real runs; `RECORD_HISTORIES=1 pytest tests/modes/test_temporal_orchestration.py` records
them anew. A history that fails here belongs to orders that are under way somewhere: do not replace it lightly.
"""

import dataclasses
from pathlib import Path

import pytest
from checkout.messages import PUBLIC
from checkout.saga import CHECKOUT
from sagakit.modes.temporal.orchestration import SagaWorkflow, plan_of
from sagakit.modes.temporal.wire import CONVERTER
from sagakit.saga import Saga
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
ORCHESTRATED = (
    "completed",
    "out_of_stock",
    "payment_declined",
    "shipping_unavailable",
    "customer_requested",
    "timed_out",
)


def test_every_way_to_end_is_on_record() -> None:
    assert {f"orchestration-{name}" for name in ORCHESTRATED} <= {path.stem for path in HISTORIES}


async def replay(path: Path, saga: Saga) -> None:
    SagaWorkflow.plan = plan_of(saga, PUBLIC)
    history = WorkflowHistory.from_json("an-order", path.read_text())  # noqa: ASYNC240
    await Replayer(workflows=[SagaWorkflow], data_converter=CONVERTER).replay_workflow(history)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_stored_history_replays(path: Path) -> None:
    await replay(path, CHECKOUT)


async def test_a_saga_in_another_order_does_not_replay() -> None:
    with pytest.raises(workflow.NondeterminismError):
        await replay(HISTORIES[0], dataclasses.replace(CHECKOUT, steps=CHECKOUT.steps[::-1]))

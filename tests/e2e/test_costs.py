"""The cost of a completed order in each mode, counted and compared with docs/modes.md."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from sagakit.modes import MODES
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION
from tests.e2e.failpoints import one_answer_at_a_time
from tests.e2e.stack import SERVICES, Stack, basket

PAGE: Final = Path(__file__).parents[2] / "docs" / "modes.md"
COLUMNS: Final = ("messages", "transactions", "workflows", "activities")
ORDERS: Final = 3
LOCAL_ACTIVITY: Final = "core_local_activity"


class Cost(NamedTuple):
    """Published messages, transactions of the services, workflows started, and activities of both kinds."""

    messages: int
    transactions: int
    workflows: int
    activities: int


def documented() -> dict[str, tuple[str, str, Cost]]:
    """Mode -> style, substrate and cost in the table of the page; a dash is 0."""
    head, _, *lines = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("|")
    ]
    rows = {}
    for line in lines:
        cells = dict(zip(head, line, strict=True))
        counts = (int(cells[column].replace("–", "0")) for column in COLUMNS)
        rows[cells["mode"]] = (cells["style"], cells["carried by"], Cost(*counts))
    return rows


def test_the_table_has_every_mode_with_its_style_and_carrier() -> None:
    names = {"temporal": "Temporal", "kafka": "Kafka", "sns_sqs": "SNS/SQS", "pubsub": "Pub/Sub"}
    styles = {ORCHESTRATION: "orchestration", CHOREOGRAPHY: "choreography"}
    expected = {mode.name: (styles[mode.style], names[mode.substrate]) for mode in MODES.values()}
    assert {mode: row[:2] for mode, row in documented().items()} == expected


@pytest.mark.usefixtures("disarmed")
async def test_an_order_costs_what_the_table_says(stack: Stack) -> None:
    costs = Counter([await _cost_of_an_order(stack) for _ in range(ORDERS)])
    cost, times = costs.most_common(1)[0]
    assert times > 1, f"no two orders cost the same: {costs}"
    assert cost == documented()[stack.mode][2], costs


async def _cost_of_an_order(stack: Stack) -> Cost:
    await one_answer_at_a_time(stack)
    before = await _quiet(stack)
    order = (await stack.order(basket())).json()
    assert order["status"] == "COMPLETED"
    messages, transactions = (now - then for now, then in zip(await _quiet(stack), before, strict=True))
    return Cost(messages, transactions, *await _histories(stack, order["order_id"]))


async def _quiet(stack: Stack) -> tuple[int, int]:
    """Wait until messages and transactions stand still; returns their numbers."""
    counted = await _counted(stack)
    while True:
        await asyncio.sleep(0.3)
        again = await _counted(stack)
        if again == counted:
            return again
        counted = again


async def _counted(stack: Stack) -> tuple[int, int]:
    sums: Counter[str] = Counter()
    for service in SERVICES:
        async with stack.client(service) as client:
            text = (await client.get("/metrics")).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name] += int(sample.value)
    return sums["saga_outbox_published_total"], sums["saga_transaction_seconds_count"]


async def _histories(stack: Stack, order_id: str) -> tuple[int, int]:
    """What Temporal has recorded about an order: workflows, and activities, remote and local."""
    mode = MODES[stack.mode]
    if mode.substrate != "temporal":
        return 0, 0
    ids = [order_id] if mode.style == ORCHESTRATION else [f"{service}/{order_id}" for service in SERVICES]
    namespace = stack.environment.get("TEMPORAL_NAMESPACE", "default")
    client = await Client.connect(stack.environment["TEMPORAL_ADDRESS"], namespace=namespace)
    activities = 0
    for workflow in ids:
        for event in (await client.get_workflow_handle(workflow).fetch_history()).events:
            remote = event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
            marker = event.marker_recorded_event_attributes.marker_name
            activities += remote or marker == LOCAL_ACTIVITY
    return len(ids), activities

"""What clients and operators see of an order that is beyond retention: how it came out, and that the rest is gone."""

import time

from checkout.messages import ConfirmOrder, RecordPaymentSettled, RecordShipmentSettled, RecordStockSettled
from sagakit.postgres.retention import Pruner
from tests.postgres import Server
from tests.unit.api.served import ADMIN, Served, order_body, problem, served


async def _pruned(order: Served) -> str:
    order_id: str = (await order.place()).json()["order_id"]
    for command in (ConfirmOrder, RecordStockSettled, RecordPaymentSettled, RecordShipmentSettled):
        await order.do(command(order_id))
    service = order.service_process
    assert await Pruner(service.database, service.final_rows, 0).prune() == 1
    return order_id


async def test_a_pruned_order_is_shown_and_its_key_still_means_it(postgres: Server) -> None:
    async with served("order", postgres.database("order")) as order:
        order_id = await _pruned(order)
        shown = (await order.get(f"/orders/{order_id}")).json()
        assert (shown["status"], shown["settled"], shown["total"]["amount"]) == ("COMPLETED", True, 2400)
        began = time.monotonic()
        again = await order.place(Prefer="wait=20")
        assert time.monotonic() - began < 10, "there is nothing to wait for"
        assert (again.status_code, again.json()) == (200, shown)
        problem(await order.place(body=order_body(quantity=3)), 422, "idempotency_key_reused")
        problem(await order.post(f"/orders/{order_id}/cancel"), 409, "order_confirmed")
        assert [await order.service_process.count(table) for table in ("inbox", "journal", "orders")] == [0, 0, 1]


async def test_the_timeline_of_a_pruned_order_says_so(postgres: Server) -> None:
    async with served("order", postgres.database("order")) as order:
        order_id = await _pruned(order)
        body = (await order.get(f"/timeline/{order_id}", ADMIN)).json()
        assert (body["pruned"], body["items"], body["calls"]) == (True, [], [])
        assert (await order.get(f"/timeline/{order_id}")).json()["pruned"], "its customer sees it, too"
        events = await order.get(f"/orders/{order_id}/events")
        assert events.status_code == 204, "an EventSource would ask again and again"
        kept = (await order.place("other")).json()["order_id"]
        assert not (await order.get(f"/timeline/{kept}", ADMIN)).json()["pruned"]

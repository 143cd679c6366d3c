"""`python -m loadtests.transactions` carries orders to their end, and tells what each of their transactions cost."""

from loadtests.transactions import WARM, measure, total
from quartet_stack.settings import SERVICES
from tests.postgres import Server


async def test_every_order_is_completed_and_every_transaction_has_a_cost(postgres: Server) -> None:
    databases = {name: postgres.database(name) for name in SERVICES}
    costs = await measure(databases, batch=3, rounds=1)
    statuses = postgres.query(databases["order"], "SELECT status, settled, count(*) FROM orders GROUP BY 1, 2")
    assert [tuple(row) for row in statuses] == [("COMPLETED", True, 3 * (WARM + 1))]
    assert {(cost.service, cost.what) for cost in costs} == {
        *((name, "delete") for name in SERVICES),
        *(("order", what) for what in ("PlaceOrder", "ConfirmOrder")),
        *(("order", f"Record{what}Settled") for what in ("Stock", "Payment", "Shipment")),
        *(("inventory", what) for what in ("ReserveStock", "CommitStock")),
        *(("payment", what) for what in ("AuthorizePayment", "CapturePayment")),
        *(("shipping", what) for what in ("BookShipment", "DispatchShipment")),
    }
    assert total(costs).python > 0
    assert total(costs).postgres > 0

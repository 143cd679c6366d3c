"""Refusals that depend on what happened to an order before, as docs/http.md lists them."""

from checkout.messages import BookShipment
from order_service.domain import DisownOrder
from order_service.placing import order_id_of
from tests.postgres import Server
from tests.service_process import basket
from tests.unit.api.served import problem, served
from tests.unit.api.test_ended_calls import Silent


async def test_a_shipment_without_an_answer_is_pending(postgres: Server) -> None:
    database = postgres.database("shipping")
    async with served("shipping", database, provider=Silent("book"), providers="sandbox") as shipping:
        await shipping.do(BookShipment("o1", basket()))
        problem(await shipping.get("/shipments/o1"), 404, "shipment_pending")


async def test_an_order_that_was_disowned_is_409(postgres: Server) -> None:
    async with served("order", postgres.database("order")) as order:
        await order.do(DisownOrder(order_id_of("alice", "k1")))
        for _ in range(2):
            problem(await order.place("k1"), 409, "order_disowned")
        assert (await order.place("k2")).status_code == 202

"""Refusals that depend on what happened to an order before, as docs/http.md lists them."""

from checkout.messages import BookShipment
from tests.postgres import Server
from tests.service_process import basket
from tests.unit.api.served import problem, served
from tests.unit.api.test_ended_calls import Silent


async def test_a_shipment_without_an_answer_is_pending(postgres: Server) -> None:
    database = postgres.database("shipping")
    async with served("shipping", database, provider=Silent("book"), providers="sandbox") as shipping:
        await shipping.do(BookShipment("o1", basket()))
        problem(await shipping.get("/shipments/o1"), 404, "shipment_pending")

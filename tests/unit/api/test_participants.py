"""Stock, payments and shipments over HTTP."""

import asyncio

import pytest
from msgspec.structs import replace

from checkout.messages import (
    AuthorizePayment,
    BookShipment,
    CancelShipment,
    CapturePayment,
    CommitStock,
    DispatchShipment,
    ReleaseStock,
    VoidPayment,
)
from tests.postgres import Server
from tests.service_process import basket, reserve
from tests.unit.api.served import ADMIN, headers, problem, served
from tests.unit.sagakit_sql.test_caller import OutcomeUnknown, Scripted


async def test_stock_is_public_and_comes_in_pages(postgres: Server) -> None:
    async with served("inventory", postgres.database("inventory")) as inventory:
        await inventory.do(reserve("o1"))
        item = (await inventory.client.get("/stock/espresso-cup")).json()
        assert item["price"] == {"amount": 1200, "currency": "EUR"}
        assert item["received"] == item["available"] + 1
        assert (item["reserved"], item["committed"]) == (1, 0)
        await inventory.do(CommitStock("o1"))
        item = (await inventory.client.get("/stock/espresso-cup")).json()
        assert (item["sku"], item["reserved"], item["committed"]) == ("espresso-cup", 0, 1)
        problem(await inventory.client.get("/stock/nothing"), 404, "not_found")
        seen: list[str] = []
        path = "/stock?limit=200"
        while path:
            page = (await inventory.client.get(path)).json()
            assert all(one.keys() >= item.keys() for one in page["items"])
            seen += [one["sku"] for one in page["items"]]
            path = f"/stock?limit=200&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        assert len(seen) == len(set(seen)) == await inventory.service_process.count("stock_items") > 1000
        assert {"sold-out", "limited-edition"} <= set(seen)
        for query in ("limit=0", "limit=201", "cursor=x"):
            problem(await inventory.client.get(f"/stock?{query}"), 422, "validation")


async def test_a_restock_is_the_operators_and_counts_once_per_key(postgres: Server) -> None:
    async with served("inventory", postgres.database("inventory")) as inventory:
        path, body = "/stock/sold-out/restock", {"quantity": 10}
        keyed = {**ADMIN, "Idempotency-Key": "r1"}
        answers = await asyncio.gather(*(inventory.post(path, keyed, body) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
        answer = await inventory.post(path, keyed, {"quantity": 10.0})  # in JSON Schema an integer
        assert (answer.json()["received"], answer.json()["available"]) == (10, 10)
        told = problem(await inventory.post(path, keyed, {"quantity": 11}), 422, "idempotency_key_reused")
        assert told["errors"][0]["field"] == "Idempotency-Key"
        problem(await inventory.post(path, ADMIN, body), 400, "idempotency_key_missing")
        problem(await inventory.post(path, headers(Idempotency_Key="r2"), body), 403, "forbidden")
        problem(await inventory.post("/stock/nothing/restock", keyed, body), 404, "not_found")
        problem(await inventory.client.post(path, json=body), 401, "unauthenticated")
        for quantity in (0, -1, 1.5, "1", 1_000_001, None):
            told = problem(await inventory.post(path, keyed, {"quantity": quantity}), 422, "validation")
            assert told["errors"][0]["field"] == "quantity"
        other = {**headers("root2", "admin"), "Idempotency-Key": "r1"}
        assert (await inventory.post(path, other, body)).json()["received"] == 20


async def test_inventorys_timelines_are_shown_to_their_owners(postgres: Server) -> None:
    async with served("inventory", postgres.database("inventory")) as inventory:
        await inventory.do(reserve("held"))
        await inventory.do(reserve("rejected", "sold-out"))
        await inventory.do(ReleaseStock("tombstone"))
        for order_id, given, found in (
            ("held", headers(), ["ReserveStock", "StockReserved"]),
            ("rejected", headers(), ["ReserveStock", "StockRejected"]),
            ("tombstone", ADMIN, ["ReleaseStock", "StockReleased"]),
        ):
            body = (await inventory.get(f"/timeline/{order_id}", given)).json()
            assert [item["message"] for item in body["items"]] == found
        for order_id in ("held", "rejected", "tombstone", "none"):
            problem(await inventory.get(f"/timeline/{order_id}", headers("mallory")), 404, "not_found")


async def test_a_payment_from_authorized_to_captured_or_voided(postgres: Server) -> None:
    async with served("payment", postgres.database("payment")) as payment:
        problem(await payment.get("/payments/o1"), 404, "not_found")
        await payment.do(AuthorizePayment("o1", basket()))
        expected = {"order_id": "o1", "settled": True, "amount": {"amount": 100, "currency": "EUR"}}
        assert (await payment.get("/payments/o1")).json() == {**expected, "status": "AUTHORIZED"}
        await payment.do(CapturePayment("o1"))
        assert (await payment.get("/payments/o1", ADMIN)).json() == {**expected, "status": "CAPTURED"}
        problem(await payment.get("/payments/o1", headers("mallory")), 404, "not_found")
        problem(await payment.client.get("/payments/o1"), 401, "unauthenticated")
        await payment.do(AuthorizePayment("o2", basket()))
        await payment.do(VoidPayment("o2"))
        assert (await payment.get("/payments/o2")).json()["status"] == "VOIDED"
        await payment.do(AuthorizePayment("o3", replace(basket(), payment_token="tok_declined")))
        assert (await payment.get("/payments/o3")).json()["status"] == "DECLINED"
        await payment.do(VoidPayment("tombstone"))
        problem(await payment.get("/payments/tombstone", ADMIN), 404, "not_found")
        assert len((await payment.get("/timeline/tombstone", ADMIN)).json()["items"]) == 2
        assert await payment.service_process.count("ledger") == 5


async def test_a_call_without_an_answer_shows_and_can_be_pushed(postgres: Server) -> None:
    provider = Scripted(*(OutcomeUnknown("lost") for _ in range(2)))
    async with served(
        "payment",
        postgres.database("payment"),
        provider=provider,
        providers="sandbox",
        saga_attention_after=0.1,
        retry_initial=30.0,
        retry_max=30.0,
    ) as payment:
        await payment.do(AuthorizePayment("o1", basket()))
        await asyncio.sleep(0.3)
        assert (await payment.get("/payments/o1")).json() | {"amount": 0} == {
            "order_id": "o1",
            "status": "AUTHORIZING",
            "settled": False,
            "amount": 0,
        }
        (item,) = (await payment.get("/attention", ADMIN)).json()["items"]
        assert (item["id"], item["kind"]) == ("o1/authorize", "provider-call")
        for _ in range(2):
            assert (await payment.post("/attention/o1/authorize/retry", ADMIN)).status_code == 200
            await asyncio.sleep(0.8)
        assert (await payment.get("/payments/o1")).json()["status"] == "AUTHORIZED"
        assert provider.calls == {"o1/authorize": 3}
        problem(await payment.post("/attention/o1/authorize/retry", ADMIN), 404, "not_found")


async def test_a_shipment_from_booked_to_dispatched_or_cancelled(postgres: Server) -> None:
    async with served("shipping", postgres.database("shipping")) as shipping:
        problem(await shipping.get("/shipments/o1"), 404, "not_found")
        await shipping.do(BookShipment("o1", basket()))
        assert (await shipping.get("/shipments/o1")).json() == {"order_id": "o1", "status": "BOOKED"}
        await shipping.do(DispatchShipment("o1"))
        assert (await shipping.get("/shipments/o1")).json()["status"] == "DISPATCHED"
        await shipping.do(BookShipment("o2", basket()))
        await shipping.do(CancelShipment("o2"))
        assert (await shipping.get("/shipments/o2")).json()["status"] == "CANCELLED"
        await shipping.do(BookShipment("o3", basket(country="AQ")))
        assert (await shipping.get("/shipments/o3", ADMIN)).json()["status"] == "REFUSED"
        await shipping.do(CancelShipment("tombstone"))
        problem(await shipping.get("/shipments/tombstone", ADMIN), 404, "not_found")
        problem(await shipping.get("/shipments/o1", headers("mallory")), 404, "not_found")
        assert len((await shipping.get("/timeline/o1")).json()["items"]) >= 4


@pytest.mark.parametrize(
    ("service", "paths"),
    [
        ("inventory", ["/stock", "/stock/tea-pot", "/timeline/o1"]),
        ("payment", ["/payments/o1", "/timeline/o1", "/timeline/o1/events"]),
        ("shipping", ["/shipments/o1", "/timeline/o1"]),
    ],
)
async def test_without_their_database_they_answer_503(postgres: Server, service: str, paths: list[str]) -> None:
    async with served(service, postgres.database(service)) as this:
        await asyncio.to_thread(postgres.kill)
        for path in paths:
            answer = await this.get(path, ADMIN)
            problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"]

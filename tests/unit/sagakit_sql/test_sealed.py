"""Card tokens and streets appear nowhere in the four databases, in published messages, or in the log."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.fernet import Fernet
from msgspec.structs import replace
from starlette.types import ASGIApp

from checkout.messages import PUBLIC, AuthorizePayment, BookShipment, OrderPlaced, ReserveStock
from checkout.sealing import seal_checkout
from sagakit import envelope
from sagakit.message import message_id
from sagakit.provider_http import HttpProvider
from sagakit.sealing import sealer
from sagakit.web.app import create_app
from tests.keys import PAYMENT_KEY, PUBLIC_KEY
from tests.postgres import definition
from tests.service_process import ServiceProcess, basket, service_process
from tests.unit.api.served import headers, order_body

TOKEN, STREET = "tok_flaky", "221B Baker Street"
Database = Callable[[str], str]
KEYS = {"seal_key_payment": Fernet.generate_key().decode(), "seal_key_shipping": Fernet.generate_key().decode()}
OWN: Mapping[str, tuple[str, ...]] = {
    "order": tuple(KEYS),
    "inventory": (),
    "payment": ("seal_key_payment",),
    "shipping": ("seal_key_shipping",),
}
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
BODY = {**order_body(), "payment": {"token": TOKEN}}
BODY["shipping_address"] = {**BODY["shipping_address"], "line1": STREET}


class Outside:
    """The provider's end of the wire: keeps what it gets, and answers each key only when it comes again."""

    def __init__(self) -> None:
        self.got: dict[str, list[Any]] = {}
        self.silent = True

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        self.got.setdefault(path, []).append(msgspec.json.decode(body))
        return (503, b"") if self.silent else (200, b'{"outcome": "ok", "code": "", "reference": "r"}')


class System:
    """The four services on four databases; `carry` is the broker, whose file is `wire`."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.keys, self.outside, self.services = keys, Outside(), dict[str, ServiceProcess]()
        self.wire: list[bytes] = []

    async def start(self, stack: AsyncExitStack, database: Database) -> None:
        for name, own in OWN.items():
            given: dict[str, Any] = {key: self.keys[key] for key in own if key in self.keys}
            self.services[name] = await stack.enter_async_context(
                service_process(name, database(name), provider=self._provider(name, given), retry_max=0.2, **given)
            )

    def _provider(self, name: str, given: Mapping[str, str]) -> HttpProvider:
        made = definition(name)
        settings = made_settings(name, given)
        return HttpProvider("http://provider", PAYMENT_KEY, post=self.outside.post, opened=made.opened(settings))

    @cached_property
    def app(self) -> ASGIApp:
        """The order service's interface."""
        this = self.services["order"]

        async def readiness() -> Mapping[str, Any]:
            return {"ready": True}

        app = create_app("order", this.settings, readiness, metrics=this.metrics)
        app.include_router(definition("order").router(this))
        return app

    async def place(self) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as client:
            return await client.post("/orders", json=BODY, headers=headers(Idempotency_Key="k1"))

    async def published(self, name: str) -> list[bytes]:
        await self.services[name].until("SELECT count(*) FROM outbox_waiting WHERE NOT is_call", 0)
        return [row.body for row in self.services[name].mode.published]

    async def everything(self) -> Iterator[tuple[str, str]]:
        """Every row of every table, and every message, each with the name of where it stands."""
        found = [("wire", repr(body)) for name in OWN for body in await self.published(name)]
        for name, one in self.services.items():
            for (table,) in await one.rows(TABLES):
                found += [(f"{name}.{table}", repr(tuple(row))) for row in await one.rows(f'SELECT * FROM "{table}"')]
        return iter(found)

    async def places_of(self, *texts: str) -> set[str]:
        return {place for place, row in await self.everything() if any(text in row for text in texts)}


def made_settings(name: str, given: Mapping[str, str]) -> Any:
    from sagakit.settings import Settings

    return Settings(token_public_keys=PUBLIC_KEY, service=name, **given)  # type: ignore[arg-type]


async def _run(system: System) -> set[str]:
    """One order to all participants, a dead letter of it, a repeat, and calls that stay open; where it all stands."""
    first = await system.place()
    assert first.status_code == 202, first.text
    assert (await system.place()).json() == first.json()
    body, *again = await system.published("order")
    placed = envelope.decode(body, PUBLIC).message
    assert all(envelope.decode(one, PUBLIC).message == placed for one in again), "a repeat has the same bytes"
    assert isinstance(placed, OrderPlaced)
    holds = {"inventory": ReserveStock, "payment": AuthorizePayment, "shipping": BookShipment}
    for name, hold in holds.items():
        engine = system.services[name].engine
        await engine.dispatcher.do(hold(placed.order_id, placed.checkout), cause=message_id(placed))
        await engine.dead_letter(body, "cannot be handled", placed.order_id)
    for name in ("payment", "shipping"):
        await system.services[name].until("SELECT count(*) FROM outbox WHERE is_call AND attempts > 0", 1)
    open_calls = await system.places_of(TOKEN, STREET)
    for name in ("payment", "shipping"):
        await system.services[name].execute("UPDATE outbox SET attempts = 0")
    system.outside.silent = False
    for name in ("payment", "shipping"):
        await system.services[name].drained()
    return open_calls | await system.places_of(TOKEN, STREET)


async def test_tokens_and_streets_are_stored_nowhere_in_clear(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    system = System(KEYS)
    async with AsyncExitStack() as stack:
        await system.start(stack, database)
        assert await _run(system) == set()
        assert {"/payment/authorize", "/carrier/book"} == set(system.outside.got)
        for asked in system.outside.got["/payment/authorize"]:
            assert asked["token"] == TOKEN
        for asked in system.outside.got["/carrier/book"]:
            assert asked == {"order_id": asked["order_id"], "country": "LV"}
        checkouts = {
            (await system.services[name].rows(f"SELECT checkout FROM {table}"))[0][0]
            for name, table in (("order", "orders"), ("payment", "payments"), ("shipping", "shipments"))
        }
        assert len(checkouts) == 1, "all store the same bytes, which the auditor compares"
    assert TOKEN not in caplog.text
    assert STREET not in caplog.text


async def test_the_search_finds_what_stands_in_clear(database: Database) -> None:
    system = System({})
    async with AsyncExitStack() as stack:
        await system.start(stack, database)
        found = await _run(system)
    stores = {f"{name}.journal" for name in OWN}
    rows = {"order.orders", "payment.payments", "shipping.shipments", "payment.outbox"}
    letters = {f"{name}.dead_letter" for name in OWN if name != "order"}
    assert found >= stores | rows | letters | {"wire"}


async def test_orders_from_before_there_were_keys_are_read_with_them(database: Database) -> None:
    """The order service seals nothing yet, the others have their keys: the first half of the way to sealed orders."""
    system = System(KEYS)
    async with AsyncExitStack() as stack:
        await system.start(stack, database)
        await system.services["order"].engine.stop()
        system.services["order"] = await stack.enter_async_context(service_process("order", database("order")))
        await _run(system)
        assert {asked["token"] for asked in system.outside.got["/payment/authorize"]} == {TOKEN}
        assert {asked["country"] for asked in system.outside.got["/carrier/book"]} == {"LV"}


async def test_a_service_without_the_key_asks_again_and_takes_it_for_no_refusal(database: Database) -> None:
    url, outside = database("payment"), Outside()
    outside.silent = False
    sealed = seal_checkout(basket(), sealer(KEYS["seal_key_payment"]), sealer(KEYS["seal_key_shipping"]))

    def provider(given: Mapping[str, str]) -> HttpProvider:
        opened = definition("payment").opened(made_settings("payment", given))
        return HttpProvider("http://provider", PAYMENT_KEY, post=outside.post, opened=opened)

    async with service_process("payment", url, provider=provider({}), retry_max=0.2) as payment:
        await payment.engine.dispatcher.do(AuthorizePayment("o1", sealed))
        await payment.until("SELECT count(*) FROM outbox WHERE is_call AND attempts > 2", 1)
        assert [row.status for row in await payment.rows("SELECT status FROM payments")] == ["AUTHORIZING"]
    assert not outside.got
    async with service_process(
        "payment", url, provider=provider({"seal_key_payment": KEYS["seal_key_payment"]})
    ) as payment:
        await payment.until("SELECT status FROM payments", "AUTHORIZED")
    assert [asked["token"] for asked in outside.got["/payment/authorize"]] == [basket().payment_token]


@pytest.mark.parametrize(
    ("name", "hold", "table", "status"),
    [("payment", AuthorizePayment, "payments", "DECLINED"), ("shipping", BookShipment, "shipments", "REFUSED")],
)
async def test_instant_providers_decide_by_what_is_opened(
    database: Database, name: str, hold: Any, table: str, status: str
) -> None:
    clear = replace(basket(country="AQ"), payment_token="tok_declined")
    sealed = seal_checkout(clear, sealer(KEYS["seal_key_payment"]), sealer(KEYS["seal_key_shipping"]))
    given: dict[str, Any] = {key: KEYS[key] for key in OWN[name]}
    async with service_process(name, database(name), **given) as this:
        await this.engine.dispatcher.do(hold("o1", sealed))
        assert [row.status for row in await this.rows(f"SELECT status FROM {table}")] == [status]
        stored = repr(
            [tuple(row) for of in (table, "journal", "ledger") for row in await this.rows(f"SELECT * FROM {of}")]
        )
        assert str(sealed.address) in stored
        assert "tok_declined" not in stored
        assert "1 Main St" not in stored

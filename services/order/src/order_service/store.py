"""The order database: one row per order. Rows are locked when they are loaded, and saved many at a time."""

from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from checkout.catalogue import CATALOGUE as SEED
from checkout.catalogue import CURRENCY
from checkout.messages import Checkout, PlaceOrder
from order_service.domain import NEW, DisownOrder, Order
from sagakit.postgres.rows import EntityRows
from sagakit.postgres.tables import Id, Text, machinery

METADATA: Final = MetaData()
ORDERS: Final = Table(
    "orders",
    METADATA,
    Column("order_id", Id, primary_key=True),
    Column("status", Text, nullable=False, server_default=NEW),
    Column("cancellation_reason", Text),
    Column("stock_settled", Boolean, nullable=False, server_default="false"),
    Column("payment_settled", Boolean, nullable=False, server_default="false"),
    Column("shipment_settled", Boolean, nullable=False, server_default="false"),
    Column("settled", Boolean, nullable=False, server_default="false"),
    Column("customer", Text),
    Column("idempotency_key", Text),
    Column("fingerprint", Text),
    Column("checkout", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("nudge_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("nudges", Integer, nullable=False, server_default="0"),
    UniqueConstraint("customer", "idempotency_key"),
)
Index("orders_of_customer", ORDERS.c.customer, ORDERS.c.created_at, ORDERS.c.order_id)
Index("orders_by_time", ORDERS.c.created_at, ORDERS.c.order_id)
Index("orders_open", ORDERS.c.created_at, postgresql_where=~ORDERS.c.settled)
CATALOGUE: Final = Table(
    "catalogue",
    METADATA,
    Column("sku", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
)
SIGN_IN_CODES: Final = Table(
    "sign_in_code",
    METADATA,
    Column("digest", Id, primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
machinery(METADATA)

_checkout: Final = msgspec.json.Decoder(Checkout)


async def seed(connection: AsyncConnection) -> None:
    """Bring this service's copy of the catalogue up to date."""
    await connection.execute(
        text(
            "INSERT INTO catalogue (sku, name, price, currency) SELECT u.*, :currency FROM unnest("
            "CAST(:skus AS text[]), CAST(:names AS text[]), CAST(:prices AS bigint[])) AS u "
            "ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price = excluded.price"
        ),
        {
            "currency": CURRENCY,
            "skus": [product.sku for product in SEED],
            "names": [product.name for product in SEED],
            "prices": [product.price for product in SEED],
        },
    )


def read(row: Any) -> Order:
    """The order in a row that has the columns of `rows`."""
    return Order(
        order_id=row.order_id,
        status=row.status,
        cancellation_reason=row.cancellation_reason,
        idempotency_key=row.idempotency_key or "",
        fingerprint=row.fingerprint or "",
        checkout=_checkout.decode(row.checkout) if row.checkout else None,
        stock_settled=row.stock_settled,
        payment_settled=row.payment_settled,
        shipment_settled=row.shipment_settled,
    )


def write(order: Order) -> dict[str, Any]:
    """The values of the columns of `rows`."""
    return {
        "status": order.status,
        "cancellation_reason": order.cancellation_reason,
        "stock_settled": order.stock_settled,
        "payment_settled": order.payment_settled,
        "shipment_settled": order.shipment_settled,
        "settled": order.settled,
        "customer": order.checkout.customer if order.checkout else None,
        "idempotency_key": order.idempotency_key or None,
        "fingerprint": order.fingerprint or None,
        "checkout": msgspec.json.encode(order.checkout).decode() if order.checkout else None,
    }


def rows(nudge_after: float) -> EntityRows:
    """How orders are loaded and saved. Every change of an order postpones its next nudge by `nudge_after` seconds."""
    return EntityRows(
        table="orders",
        new=Order,
        read=read,
        write=write,
        mutable=(
            ("status", "text"),
            ("cancellation_reason", "text"),
            ("stock_settled", "boolean"),
            ("payment_settled", "boolean"),
            ("shipment_settled", "boolean"),
            ("settled", "boolean"),
        ),
        write_once=(
            ("customer", "text"),
            ("idempotency_key", "text"),
            ("fingerprint", "text"),
            ("checkout", "text"),
        ),
        created_by=(PlaceOrder, DisownOrder),
        on_update="updated_at = now(), nudges = 0, nudge_at = now() + make_interval(secs => :nudge_after)",
        parameters={"nudge_after": nudge_after},
    )

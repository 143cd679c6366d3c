"""The order database: one row per order. Rows are locked when they are loaded, and saved many at a time."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    func,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from checkout.catalogue import CATALOGUE as SEED
from checkout.catalogue import CURRENCY
from checkout.messages import PlaceOrder
from order_service.domain import NEW, DisownOrder, Order
from order_service.handlers import COMMANDS
from order_service.queries import DIGEST
from order_service.retention import RETENTION
from sagakit.postgres.entities import EntityRows
from sagakit.postgres.retention import FinalRows
from sagakit.postgres.tables import ROOM, Id, Text, machinery, unpruned

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
    Column("pruned", Boolean, nullable=False, server_default="false"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("nudge_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("nudges", Integer, nullable=False, server_default="0"),
    Index("orders_by_key", text(DIGEST), unique=True),
    postgresql_with=ROOM,
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
unpruned(ORDERS)
machinery(METADATA)


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


def _entities(nudge_after: float) -> EntityRows:
    return EntityRows(
        ORDERS,
        Order,
        write_once=("customer", "idempotency_key", "fingerprint", "checkout"),
        created_by=(PlaceOrder, DisownOrder),
        derived={
            "customer": lambda order: order.checkout.customer if order.checkout else None,
            "settled": attrgetter("settled"),
        },
        narrow=tuple(COMMANDS),
        on_write={
            "updated_at": "now()",
            "nudges": "0",
            "nudge_at": "now() + make_interval(secs => :nudge_after)",
        },
        parameters={"nudge_after": nudge_after},
    )


read: Final[Callable[[Any], Order]] = _entities(0).read
write: Final[Callable[[Order], dict[str, Any]]] = _entities(0).write
FINAL_ROWS: Final = FinalRows(_entities(0), RETENTION.ended)


def rows(nudge_after: float) -> EntityRows:
    """How orders are loaded and saved. Every change of an order postpones its next nudge by `nudge_after` seconds.

    No command reads what was ordered; a nudge does, to send it again.
    """
    return _entities(nudge_after)

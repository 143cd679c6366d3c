"""The payment database: one row per payment. Rows are locked when they are loaded, and saved many at a time."""

from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, DateTime, MetaData, Table, func

from checkout.messages import AuthorizePayment, Checkout, VoidPayment
from payment_service.domain import NEW, Payment
from sagakit.postgres.rows import EntityRows
from sagakit.postgres.tables import Id, Text, ledger, machinery

METADATA: Final = MetaData()
PAYMENTS: Final = Table(
    "payments",
    METADATA,
    Column("order_id", Id, primary_key=True),
    Column("status", Text, nullable=False, server_default=NEW),
    Column("open", Boolean, nullable=False, server_default="false"),
    Column("void_wanted", Boolean, nullable=False, server_default="false"),
    Column("closed", Boolean, nullable=False, server_default="false"),
    Column("customer", Text),
    Column("amount", BigInteger),
    Column("currency", Text),
    Column("checkout", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
machinery(METADATA)
ledger(METADATA)

_checkout: Final = msgspec.json.Decoder(Checkout)


def read(row: Any) -> Payment:
    """The payment in a row that has the columns of ROWS."""
    return Payment(
        order_id=row.order_id,
        status=row.status,
        checkout=_checkout.decode(row.checkout) if row.checkout else None,
        open=row.open,
        void_wanted=row.void_wanted,
        closed=row.closed,
    )


def write(payment: Payment) -> dict[str, Any]:
    """The values of the columns of ROWS."""
    checkout = payment.checkout
    return {
        "status": payment.status,
        "open": payment.open,
        "void_wanted": payment.void_wanted,
        "closed": payment.closed,
        "customer": checkout.customer if checkout else None,
        "amount": checkout.total.amount if checkout else None,
        "currency": checkout.total.currency if checkout else None,
        "checkout": msgspec.json.encode(checkout).decode() if checkout else None,
    }


ROWS: Final = EntityRows(
    table="payments",
    new=Payment,
    read=read,
    write=write,
    mutable=(("status", "text"), ("open", "boolean"), ("void_wanted", "boolean"), ("closed", "boolean")),
    write_once=(("customer", "text"), ("amount", "bigint"), ("currency", "text"), ("checkout", "text")),
    created_by=(AuthorizePayment, VoidPayment),
)

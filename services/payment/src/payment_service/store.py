"""The payment database: one row per payment. Rows are locked when they are loaded, and saved many at a time."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, DateTime, MetaData, Table, func

from checkout.messages import AuthorizePayment, VoidPayment
from payment_service.domain import NEW, Payment
from payment_service.retention import RETENTION
from sagakit.postgres.entities import EntityRows
from sagakit.postgres.retention import FinalRows
from sagakit.postgres.tables import ROOM, Id, Text, ledger, machinery, unpruned

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
    Column("pruned", Boolean, nullable=False, server_default="false"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    postgresql_with=ROOM,
)
unpruned(PAYMENTS)
machinery(METADATA)
ledger(METADATA)

ROWS: Final = EntityRows(
    PAYMENTS,
    Payment,
    write_once=("customer", "amount", "currency", "checkout"),
    created_by=(AuthorizePayment, VoidPayment),
    derived={
        "customer": lambda payment: payment.checkout.customer if payment.checkout else None,
        "amount": lambda payment: payment.checkout.total.amount if payment.checkout else None,
        "currency": lambda payment: payment.checkout.total.currency if payment.checkout else None,
    },
)

FINAL_ROWS: Final = FinalRows(ROWS, RETENTION.ended, dropped=("checkout",))

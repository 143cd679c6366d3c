"""The shipping database: one row per shipment. Rows are locked when they are loaded, and saved many at a time."""

from typing import Final

from sqlalchemy import Boolean, Column, DateTime, MetaData, Table, func

from checkout.messages import BookShipment, CancelShipment
from sagakit.postgres.entities import EntityRows
from sagakit.postgres.retention import FinalRows
from sagakit.postgres.tables import ROOM, Id, Text, ledger, machinery, unpruned
from shipping_service.domain import NEW, Shipment
from shipping_service.retention import RETENTION

METADATA: Final = MetaData()
SHIPMENTS: Final = Table(
    "shipments",
    METADATA,
    Column("order_id", Id, primary_key=True),
    Column("status", Text, nullable=False, server_default=NEW),
    Column("open", Boolean, nullable=False, server_default="false"),
    Column("cancel_wanted", Boolean, nullable=False, server_default="false"),
    Column("closed", Boolean, nullable=False, server_default="false"),
    Column("customer", Text),
    Column("checkout", Text),
    Column("pruned", Boolean, nullable=False, server_default="false"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    postgresql_with=ROOM,
)
unpruned(SHIPMENTS)
machinery(METADATA)
ledger(METADATA)

ROWS: Final = EntityRows(
    SHIPMENTS,
    Shipment,
    write_once=("customer", "checkout"),
    created_by=(BookShipment, CancelShipment),
    derived={
        "customer": lambda shipment: shipment.checkout.customer if shipment.checkout else None,
    },
)

FINAL_ROWS: Final = FinalRows(ROWS, RETENTION.ended, dropped=("checkout",))

"""The shipping database: one row per shipment. Rows are locked when they are loaded, and saved many at a time."""

from typing import Any, Final

import msgspec
from sqlalchemy import Boolean, Column, DateTime, MetaData, Table, func

from checkout.messages import BookShipment, CancelShipment, Checkout
from sagakit.postgres.rows import EntityRows
from sagakit.postgres.tables import Id, Text, ledger, machinery
from shipping_service.domain import NEW, Shipment

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
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
machinery(METADATA)
ledger(METADATA)

_checkout: Final = msgspec.json.Decoder(Checkout)


def read(row: Any) -> Shipment:
    """The shipment in a row that has the columns of ROWS."""
    return Shipment(
        order_id=row.order_id,
        status=row.status,
        checkout=_checkout.decode(row.checkout) if row.checkout else None,
        open=row.open,
        cancel_wanted=row.cancel_wanted,
        closed=row.closed,
    )


def write(shipment: Shipment) -> dict[str, Any]:
    """The values of the columns of ROWS."""
    checkout = shipment.checkout
    return {
        "status": shipment.status,
        "open": shipment.open,
        "cancel_wanted": shipment.cancel_wanted,
        "closed": shipment.closed,
        "customer": checkout.customer if checkout else None,
        "checkout": msgspec.json.encode(checkout).decode() if checkout else None,
    }


ROWS: Final = EntityRows(
    table="shipments",
    new=Shipment,
    read=read,
    write=write,
    mutable=(("status", "text"), ("open", "boolean"), ("cancel_wanted", "boolean"), ("closed", "boolean")),
    write_once=(("customer", "text"), ("checkout", "text")),
    created_by=(BookShipment, CancelShipment),
)

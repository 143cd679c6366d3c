"""What the shipping service only reads: shipments by order."""

from typing import Final

from shipping_service.domain import NEW

BY_ORDER: Final = (
    "SELECT order_id, status, customer FROM shipments "
    f"WHERE order_id = ANY(CAST(:ids AS text[])) AND status <> '{NEW}' AND customer IS NOT NULL"
)

"""What the payment service only reads: payments by order."""

from typing import Final

from payment_service.domain import NEW

BY_ORDER: Final = (
    "SELECT order_id, status, open, customer, amount, currency FROM payments "
    f"WHERE order_id = ANY(CAST(:ids AS text[])) AND status <> '{NEW}' AND customer IS NOT NULL"
)

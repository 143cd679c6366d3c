"""The inventory service: it owns the stock and the reservations."""

"""The shipping service: it owns the shipments, and calls the carrier."""

"""The order service: it owns the orders, decides each saga, and answers customers."""

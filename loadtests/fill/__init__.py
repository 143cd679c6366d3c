"""Fills a stack with settled orders: what the databases hold after a long time, within minutes."""

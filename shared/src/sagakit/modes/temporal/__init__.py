"""Temporal carries the saga: one workflow per order, or per service and order."""

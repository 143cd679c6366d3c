"""Temporal carries the saga: one workflow per order, or per service and order. See README.md."""

from sagakit.modes.temporal.mode import TemporalMode

__all__ = ["TemporalMode"]

"""Imported by Python at its start if this folder is in PYTHONPATH: the process remembers and streams nothing."""

from typing import Any

from sagakit.activity import Activity


def _nothing(self: Any, *arguments: Any, **named: Any) -> None:
    """In place of what records."""


for _name in ("handled", "called", "failed", "unpublished", "dead_letter"):
    setattr(Activity, _name, _nothing)

"""Reads what commands have saved as JSON in the folder of a stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout

START_AGAIN = "delete it, and start the stack again with: make up"
KEEP_DATA = "restore it from a copy, or delete all data: make clean"


def record(place: Layout) -> dict[str, Any]:
    """What the last `up` started: the environment of the stack, its programs and ports; empty if there was none.

    Raises:
        StackError: The file is damaged.
        PermissionError: It belongs to another user.
    """
    return parsed(place.record.read_bytes(), place.record, START_AGAIN) if place.record.exists() else {}


def parsed(content: bytes, path: Path, fix: str) -> dict[str, Any]:
    """The JSON object that is the content of this file.

    Raises:
        StackError: It is not one, because the file was cut off, say. The message ends with `fix`.
    """
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise StackError(f"{path} is damaged; {fix}")
    return value

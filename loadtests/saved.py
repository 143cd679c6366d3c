"""Results of measurements in JSON files."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def save(content: Any, path: Path) -> None:
    """Write it, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    partial.replace(path)


def load(path: Path, kind: type[T], what: str) -> T:
    """Read what was saved; `what` it is, for the error.

    Raises:
        ValueError: The file is missing, or holds something else; the message names it.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"{path} cannot be read as {what}: {error}") from None

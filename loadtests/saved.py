"""Results of measurements in JSON files."""

from collections.abc import Sequence
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


def resume(path: Path, chosen: T, settings: Sequence[str], what: str) -> T:
    """Return what was saved before with the same settings, or `chosen`, where nothing is measured yet.

    Args:
        path: The file, which may be missing.
        chosen: A record of this run's settings.
        settings: Names of the record's settings that must be the same.
        what: What the file holds, for the error.

    Raises:
        ValueError: The file was made with other settings, or cannot be read; the message names it.
    """
    if not path.exists():
        return chosen
    before = load(path, type(chosen), what)
    for name in settings:
        made, now = getattr(before, name), getattr(chosen, name)
        if made != now:
            raise ValueError(f"{path} was made with {name} {made}, not {now}: choose another REPORT, or delete it")
    return before

"""A promise is a line about what clients rely on. One may be broken only if CHANGELOG.md names it."""

from collections.abc import Iterable
from typing import Final

from quartet_stack.layout import REPOSITORY

CHANGELOG: Final = REPOSITORY / "CHANGELOG.md"
REFUSAL: Final = "These change what clients rely on. Keep them, or name each in CHANGELOG.md, in backticks:"


def unnamed(lines: Iterable[str], changelog: str) -> list[str]:
    """Those of the lines that do not stand in the changelog in backticks, sorted."""
    return sorted(line for line in lines if f"`{line}`" not in changelog)

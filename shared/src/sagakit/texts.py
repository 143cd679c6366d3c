"""Which characters a client's text may have: those of every script, but none that are invisible or cannot be stored.

Guarantee: accepted text can be stored, logged on one line and written as JSON, and a person can see it.
Source: the Unicode Standard, sections 2.13 (special characters) and 23.7 (noncharacters).
"""

import unicodedata
from typing import Final

from pydantic import AfterValidator

_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # blank, though of a visible category
_REFUSED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, surrogates, line and paragraph separators


def unfit(text: str) -> str | None:
    """Why this text is refused, in words for its sender; None if it is accepted. Its length is not checked."""
    if text.isascii():
        if not text.isprintable():
            return "Input should have no control characters"
        return "Input should have a visible character" if text.isspace() or not text else None
    visible = False
    for character in text:
        category = unicodedata.category(character)
        if category in _REFUSED or _is_noncharacter(ord(character)):
            return "Input should have no control characters, halves of characters or noncharacters"
        visible = visible or _is_visible(character, category)
    return None if visible else "Input should have a visible character"


def _is_noncharacter(point: int) -> bool:
    return 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE


def _is_visible(character: str, category: str) -> bool:
    if category in ("Co", "Cn"):  # private use, or unassigned in this Unicode version, except default-ignorable ones
        return not 0xE0000 <= ord(character) <= 0xE0FFF
    return category[0] in "LNPS" and character not in _BLANK


def _fit(text: str) -> str:
    if reason := unfit(text):
        raise ValueError(reason)
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("Input should consist of printable characters")
    return text


VISIBLE: Final = AfterValidator(_fit)
"""For text by people, in any script: `Annotated[str, Field(max_length=200), VISIBLE]`; lengths are in characters."""

PRINTABLE: Final = AfterValidator(_printable)
"""For text by programs, such as an id or a key: printable characters only."""

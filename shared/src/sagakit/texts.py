"""Which characters a text of a client's may have: those of every script, and nothing that hides or cannot be stored.

Guarantee: what is let in can be stored, logged on one line and written in JSON, and a person can see it.
Source: the Unicode Standard, sections 2.13 (special characters) and 23.7 (noncharacters).
"""

import unicodedata
from typing import Final

from pydantic import AfterValidator

_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # of a visible category, but empty to the eye
_REFUSED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, halves of a character, separators of lines


def unfit(text: str) -> str | None:
    """Why this text is refused, in words for its sender; None if it is fit. Says nothing of its length."""
    if text.isascii():
        if not text.isprintable():
            return "Input should have no control characters"
        return "Input should have a visible character" if text.isspace() or not text else None
    seen = False
    for character in text:
        category = unicodedata.category(character)
        if category in _REFUSED or _is_noncharacter(ord(character)):
            return "Input should have no control characters, halves of characters or noncharacters"
        seen = seen or _is_visible(character, category)
    return None if seen else "Input should have a visible character"


def _is_noncharacter(point: int) -> bool:
    return 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE


def _is_visible(character: str, category: str) -> bool:
    if category in ("Co", "Cn"):  # of private use, or of a newer Unicode than ours, but for what is to be ignored
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
"""For what a person wrote, in any script: `Annotated[str, Field(max_length=200), VISIBLE]`; lengths in characters."""

PRINTABLE: Final = AfterValidator(_printable)
"""For what programs make, an id or a key: no character that is not printable."""

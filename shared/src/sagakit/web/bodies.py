"""Finds duplicate keys in JSON bodies: readers differ about which value counts, so such a body is refused.

Source: RFC 8259, section 4, on names that are not unique.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

_NAME_MAX: Final = 64


class _Duplicate:
    """Takes the place of an object in which `key` is repeated."""

    def __init__(self, key: str) -> None:
        self.key = key


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: Sequence[tuple[str, Any]]) -> Any:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise _DuplicateKey
    return unique


def _marked(pairs: Sequence[tuple[str, Any]]) -> Any:
    marked: dict[str, Any] = {}
    for key, value in pairs:
        if key in marked:
            return _Duplicate(key)
        marked[key] = value
    return marked


_check = json.JSONDecoder(object_pairs_hook=_unique).decode
_mark = json.JSONDecoder(object_pairs_hook=_marked).decode


def duplicate_key(body: bytes) -> str | None:
    """The dotted path of a key that is duplicated in its object; None if there is none, or `body` is not JSON."""
    if body.count(b":") < 2:
        return None
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        try:
            _check(text)
        except _DuplicateKey:
            return _path_to(_mark(text))
    except (ValueError, RecursionError):
        pass  # the parser that reads the body reports what is wrong with it
    return None


def field_name(name: str) -> str:
    """The name of a field as an answer may show it: replaced if it is long, or not printable ASCII."""
    return name if len(name) <= _NAME_MAX and name.isascii() and name.isprintable() else "(a field of another name)"


def _path_to(parsed: Any) -> str | None:
    """The path of the first duplicate key."""
    stack: list[tuple[Any, tuple[str, ...]]] = [(parsed, ())]
    while stack:
        value, path = stack.pop()
        if isinstance(value, _Duplicate):
            return ".".join(map(field_name, (*path, value.key)))
        if isinstance(value, dict):
            stack += [(inner, (*path, key)) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            stack += [(inner, (*path, str(at))) for at, inner in reversed(list(enumerate(value)))]
    return None

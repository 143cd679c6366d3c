"""JSON bodies in which a key stands twice, which readers understand differently: they are refused.

Source: RFC 8259, section 4, on names that are not unique.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

_NAME_MAX: Final = 64


class _Twice:
    """Stands for an object in which `key` is repeated; it hides whatever else is in it."""

    def __init__(self, key: str) -> None:
        self.key = key


class _Repeated(ValueError):
    pass


def _unique(pairs: Sequence[tuple[str, Any]]) -> Any:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Repeated
    return made


def _marked(pairs: Sequence[tuple[str, Any]]) -> Any:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            return _Twice(key)
        made[key] = value
    return made


_looks = json.JSONDecoder(object_pairs_hook=_unique).decode
_finds = json.JSONDecoder(object_pairs_hook=_marked).decode


def twice(body: bytes) -> str | None:
    """The dotted path of a key that stands twice in its object; None if there is none, or `body` is no JSON."""
    if body.count(b":") < 2:
        return None
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        try:
            _looks(text)
        except _Repeated:
            return _path_to(_finds(text))
    except (ValueError, RecursionError):
        pass  # whoever reads the body says what is wrong with it
    return None


def field_name(name: str) -> str:
    """A field's name as it may be shown: a client's own, but not whatever a client makes a name of."""
    return name if len(name) <= _NAME_MAX and name.isascii() and name.isprintable() else "(a field of another name)"


def _path_to(parsed: Any) -> str | None:
    """Where the first such object stands."""
    stack: list[tuple[Any, tuple[str, ...]]] = [(parsed, ())]
    while stack:
        value, path = stack.pop()
        if isinstance(value, _Twice):
            return ".".join(map(field_name, (*path, value.key)))
        if isinstance(value, dict):
            stack += [(inner, (*path, key)) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            stack += [(inner, (*path, str(at))) for at, inner in reversed(list(enumerate(value)))]
    return None

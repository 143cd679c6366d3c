"""JSON bodies in which a key stands twice, which readers understand differently: they are refused.

Source: RFC 8259, section 4, on names that are not unique.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

_NAME_MAX: Final = 64


class _Twice:
    def __init__(self, key: str) -> None:
        self.key = key


def twice(body: bytes) -> str | None:
    """The dotted path of a key that stands twice in its object; None if there is none, or `body` is no JSON."""
    if body.count(b":") < 2:
        return None
    found: list[_Twice] = []

    def collect(pairs: Sequence[tuple[str, Any]]) -> Any:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        found.append(_Twice(key))
        return found[-1]

    try:
        parsed = json.loads(body, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return None
    return _path_to(parsed) if found else None


def field_name(name: str) -> str:
    """A field's name as it may be shown: a client's own, but not whatever a client makes a name of."""
    return name if len(name) <= _NAME_MAX and name.isascii() and name.isprintable() else "(a field of another name)"


def _path_to(parsed: Any) -> str | None:
    """Where the first object stands in which a key is repeated; it hides whatever is in it."""
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

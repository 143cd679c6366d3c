"""Orders that were recorded, one of each kind in each mode: what the services and the provider said about them."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

_FOLDER: Final = files("console_service.examples")
EXAMPLES: Final = tuple(sorted(item.name[: -len(".json")] for item in _FOLDER.iterdir() if item.name.endswith(".json")))
"""Their names: the mode, a dot, and the kind, such as `kafka-choreography.declined`."""
MODES: Final = tuple(dict.fromkeys(name.partition(".")[0] for name in EXAMPLES))
KINDS: Final = tuple(dict.fromkeys(name.partition(".")[2] for name in EXAMPLES))


@cache
def example(name: str) -> Any:
    """The recorded order of that name.

    Raises:
        KeyError: There is none.
    """
    if name not in EXAMPLES:
        raise KeyError(name)
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))

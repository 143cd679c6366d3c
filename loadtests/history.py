"""What clients saw, one JSON object a line, for the auditor: `{"key", "order_id", "seen", "customer"}`.

`seen` is `accepted`, `COMPLETED`, `CANCELLED`, or `unknown` when no answer came: such an order may exist or not.
"""

import json
from pathlib import Path
from typing import IO


class History:
    """Appends to a file; every line is written whole."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = path.open("w", buffering=1)

    def saw(self, customer: str, key: str, order_id: str | None, seen: str) -> None:
        line = {"customer": customer, "key": key, "order_id": order_id, "seen": seen}
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self._file.close()

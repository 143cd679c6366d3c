"""`python -m tests.console.published` gives the console the published comparison of the modes, from docs/results.

Compare shows it with plots; a test fails while the console has another one than the documentation.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from loadtests.bench.publish import data
from loadtests.bench.report import about
from loadtests.bench.storage import read
from loadtests.bench.summary import HEADLINE, summarize

FILE: Final = Path(__file__).parents[2] / "services/console/src/console_service/published.json"


def published() -> dict[str, Any]:
    """What Compare shows: how it was measured, the figures with their titles, and their values in each mode."""
    record = read(data("bench"))
    return {
        "about": about(record).replace("`", ""),
        "figures": dict(HEADLINE),
        "modes": [
            {"mode": one.mode, "offered": one.offered}
            | {
                name: {part: round(getattr(getattr(one, name), part), 2) for part in ("median", "low", "high")}
                for name in HEADLINE
            }
            for one in summarize(record)
        ],
    }


def main() -> int:
    """Write the file; the exit status."""
    FILE.write_text(json.dumps(published(), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

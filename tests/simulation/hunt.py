"""Finds the first schedule of each style that breaks an invariant, in one process, and prints it as JSON.

`python -m tests.simulation.hunt 2000` tries 2000 of each style. For trees with a planted bug.
Exit status 1 if any was found, 0 if none was.
"""

import json
import sys

from tests.simulation.design import STYLES, Design
from tests.simulation.schedule import run


def main(within: int) -> int:
    first = {}
    for style in STYLES:
        for seed in range(within):
            if violations := run(Design(style), seed).violations:
                first[style] = {"schedules": seed + 1, "invariant": violations[0].invariant, "what": violations[0].what}
                break
    print(json.dumps(first, indent=1) if first else "{}")
    return int(bool(first))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

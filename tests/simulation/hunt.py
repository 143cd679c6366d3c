"""Finds the first schedule of each style that breaks an invariant, in one process, and prints it as JSON.

`python -m tests.simulation.hunt 2000` tries 2000 of each style. For trees with a planted bug.
Exit status 1 if any was found, 0 if none was.
"""

import json
import sys

from tests.simulation.design import STYLES, Design
from tests.simulation.schedule import run


def main(within: int) -> int:
    found = {}
    for style in STYLES:
        for seed in range(within):
            if violations := run(Design(style), seed).violations:
                found[style] = {"schedules": seed + 1, "invariant": violations[0].invariant, "what": violations[0].what}
                break
    print(json.dumps(found, indent=1) if found else "{}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

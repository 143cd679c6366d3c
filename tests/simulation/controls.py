"""`python -m tests.simulation.controls`: print how many schedules it takes to find each seeded defect.

Exit status 0 if every mutant broke all the invariants that are there to catch it within WITHIN schedules, else 1.
"""

import sys
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.simulation.design import STYLES, Design
from tests.simulation.mutants import MUTANTS
from tests.simulation.schedule import run

WITHIN: Final = 2_000


def schedules_to_find(name: str, style: str, within: int = WITHIN) -> int | None:
    """After how many schedules the mutant has broken each of its invariants; None: not within that many."""
    mutant = MUTANTS[name]
    design, missing = mutant.mutate(Design(style)), set(mutant.caught_by)
    for seed in range(within):
        missing -= run(design, seed).broken
        if not missing:
            return seed + 1
    return None


def main() -> int:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table("seeded defect", "caught by", *STYLES, title="schedules until a seeded defect is found")
    escaped = False
    for name in track(sorted(MUTANTS), "mutants", console=console):
        counts = [schedules_to_find(name, style) for style in STYLES]
        escaped = escaped or None in counts
        invariants = ", ".join(map(str, sorted(MUTANTS[name].caught_by)))
        table.add_row(name, invariants, *(str(count or "never") for count in counts))
    console.print(table)
    return int(escaped)


if __name__ == "__main__":
    sys.exit(main())

"""The duration of each part of the suite, with its budget: a table, never a failure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.suite.budgets import BUDGETS, Budget
from tests.suite.choice import Choice

STATIC: Final = "static checks"
WHOLE: Final = "the whole run"
HEAD: Final = ("part", "tests", "seconds", "budget", "")


@dataclass
class Ledger:
    """Seconds and tests of each part, and how many tests were left out, by reason."""

    choice: Choice
    budgets: Mapping[str, Budget] = field(default_factory=lambda: BUDGETS)
    tests: dict[str, set[str]] = field(default_factory=dict)
    seconds: Counter[str] = field(default_factory=Counter)
    left_out: Mapping[str, int] = field(default_factory=dict)

    def add(self, part: str, test: str, seconds: float) -> None:
        """Add one phase of a test: set-up, call or tear-down, with the start and stop of servers."""
        self.tests.setdefault(part, set()).add(test)
        self.seconds[part] += seconds  # type: ignore[assignment]

    def lines(self, static: float, whole: float) -> Iterator[str]:
        """The lines of the table; `static`: seconds before pytest; `whole`: seconds in all, static checks included."""
        rows = [HEAD, self._row(STATIC, "", static)]
        parts = [part for part in self.budgets if part in self.tests] + sorted(self.tests.keys() - self.budgets.keys())
        rows += [self._row(part, str(len(self.tests[part])), self.seconds[part]) for part in parts]
        rows.append(self._row(WHOLE, str(sum(map(len, self.tests.values()))), whole))
        yield from _table(rows)
        for reason, tests in sorted(self.left_out.items()):
            yield f"{tests} tests deselected, which {reason}"

    def _row(self, part: str, tests: str, seconds: float) -> tuple[str, ...]:
        budget = self.budgets.get(part)
        if budget is None:
            return part, tests, f"{seconds:.0f}", "none", "HAS NO BUDGET"
        most = budget.of(self.choice)
        return part, tests, f"{seconds:.0f}", str(most), "within" if seconds <= most else "OVER"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for part, tests, seconds, budget, verdict in rows:
        numbers = (cell.rjust(width) for cell, width in zip((tests, seconds, budget), widths[1:], strict=False))
        yield f"{part.ljust(widths[0])}  {'  '.join(numbers)}  {verdict}".rstrip()

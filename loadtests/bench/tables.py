"""Tables for Markdown and for the terminal, and figures with as many digits as a reader can use. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10

from rich import box
from rich.table import Table as Drawn

from loadtests.bench.record import LATE
from loadtests.bench.summary import Spread


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names what the others are about."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table as Markdown, without its title."""
        lines = [self.head, ["---", *["---:"] * (len(self.head) - 1)], *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def drawn(self) -> Drawn:
        """The table for a terminal."""
        table = Drawn(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for number, name in enumerate(self.head):
            table.add_column(name, justify="right" if number else "left", no_wrap=not number, overflow="fold")
        for row in self.rows:
            table.add_row(*(cell.replace("`", "") for cell in row))
        return table


def figure(value: float) -> str:
    """A number with three significant digits below a thousand, or whole with its thousands grouped above."""
    if value == 0:
        return "0"
    digits = max(2 - floor(log10(abs(value))), 0)
    return f"{round(value, digits):,.{digits}f}"


def latency(milliseconds: float) -> str:
    """A latency, or `late` where so many orders did not complete that the quantile is one of them."""
    return "late" if milliseconds >= LATE else figure(milliseconds)


def ranged(spread: Spread, text: Callable[[float], str] = figure) -> str:
    """The median, with its interval in brackets unless both ends of it read the same."""
    low, high = text(spread.low), text(spread.high)
    return text(spread.median) if low == high else f"{text(spread.median)} ({low}–{high})"

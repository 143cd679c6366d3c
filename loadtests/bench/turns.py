"""One run of a bench before it is made, and how runs are named. Pure."""

from dataclasses import dataclass
from typing import Final

from loadtests.bench.parts import BACKLOG, COLD_START, FLOOR, SATURATION, STEADY

RATELESS: Final = (COLD_START, SATURATION, BACKLOG, FLOOR)
"""Parts that are no load at a given rate."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One run to make: its round, from 1, its mode (or peer), the orders that arrive a second, and what is measured."""

    number: int
    mode: str
    rate: float
    part: str = STEADY

    @property
    def name(self) -> str:
        """The name of its folder."""
        of = "" if self.part == STEADY else f"-{self.part}"
        return f"{self.number}-{self.mode}-{self.rate:g}{of}"

    def __str__(self) -> str:
        return title(self.mode, self.number, self.rate, self.part)


def title(mode: str, number: int, rate: float, of: str) -> str:
    """How a run is named for people."""
    load = "" if of in RATELESS else f" at {rate:g}/s"
    return f"{mode}{load}, run {number}" if of == STEADY else f"{mode}, {of}{load}, run {number}"

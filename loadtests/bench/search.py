"""The search for the highest rate that holds. Pure."""

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

FIRST: Final = 10.0
"""Orders a second of the first step: every mode is to hold this rate."""
UP: Final = 2.0
"""By which factor the rate rises until it does not hold."""
FINER: Final = 3
"""How often the gap between a rate that held and one that did not is halved; it is 9 % then."""
MOST: Final = 2_000.0
"""Orders a second that are not exceeded: no generator here can do more."""
T = TypeVar("T")


def search(measure: Callable[[float], T], held: Callable[[T], bool], first: float = FIRST) -> list[tuple[T, bool]]:
    """Measure at rising rates until one does not hold, then between the last two; returns each with its verdict.

    If `first` does not hold, lower rates are tried, down to a tenth of it.

    Args:
        measure: Measures at a rate.
        held: Judges a measurement.
        first: The first rate.
    """
    made: list[tuple[T, bool]] = []

    def tried(rate: float) -> bool:
        measured = measure(rate)
        made.append((measured, held(measured)))
        return made[-1][1]

    low, high = _bracket(tried, first)
    for _ in range(FINER if low and high else 0):
        between = rounded((low * high) ** 0.5)
        low, high = (between, high) if tried(between) else (low, between)
    return made


def rounded(rate: float) -> float:
    """A rate with two digits, as a person would choose it."""
    return float(f"{rate:.2g}")


def _bracket(tried: Callable[[float], bool], first: float) -> tuple[float, float]:
    """The highest rate that held and the lowest that did not; 0 for one that was not found."""
    if not tried(first):
        lower = next((rate for rate in _rates(first, 1 / UP) if tried(rate)), 0.0)
        return lower, rounded(lower * UP) if lower else first
    low = first
    for rate in _rates(first, UP):
        if not tried(rate):
            return low, rate
        low = rate
    return low, 0.0


def _rates(first: float, factor: float) -> Iterator[float]:
    rate = first * factor
    while first / 10 <= rate <= MOST:
        yield rounded(rate)
        rate *= factor

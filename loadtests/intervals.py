"""The interval around the mean of a few measurements, by Student's distribution."""

from collections.abc import Sequence
from math import sqrt
from statistics import stdev
from typing import Final

from scipy.stats import t

CONFIDENCE: Final = 0.95


def half_width(values: Sequence[float]) -> float:
    """Half the width of the interval of CONFIDENCE around the mean, in the unit of the values, of which it needs two.

    Raises:
        StatisticsError: There are fewer.
    """
    return float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * stdev(values) / sqrt(len(values))

"""How the arrival rate changes over a run: a factor on RATE, by the elapsed share of the duration (0 to 1)."""

import math
from collections.abc import Callable, Mapping
from typing import Final


def constant(elapsed: float) -> float:
    """The full rate all the time."""
    return 1.0


def ramp(elapsed: float) -> float:
    """From a tenth to the full rate."""
    return 0.1 + 0.9 * elapsed


def spike(elapsed: float) -> float:
    """Five times the rate in the middle tenth."""
    return 5.0 if 0.45 <= elapsed < 0.55 else 1.0


def wave(elapsed: float) -> float:
    """Three waves between a fifth of the rate and the full rate."""
    return 0.6 - 0.4 * math.cos(elapsed * 6 * math.pi)


def soak(elapsed: float) -> float:
    """The full rate, reached within the first twentieth and left within the last."""
    return min(1.0, 0.1 + 18 * elapsed, 0.1 + 18 * (1 - elapsed))


SHAPES: Final[Mapping[str, Callable[[float], float]]] = {
    "constant": constant,
    "ramp": ramp,
    "spike": spike,
    "wave": wave,
    "soak": soak,
}

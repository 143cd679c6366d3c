"""The order in which workers get groups of tests: all cores are busy to the end, and no long group begins last."""

import heapq
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final

STACKS_AT_A_TIME: Final = 2
"""A running stack needs a core or more; more of them at once slow each other, and orders meet deadlines."""


def turns(seconds: Mapping[str, float], is_stack: Callable[[str], bool], workers: int) -> list[str]:
    """Order the groups, by a simulation of `workers`, each of which takes the next group when it is idle.

    Longest first, with at most STACKS_AT_A_TIME stacks while there are other groups, which mostly wait for restarts.
    """
    left = sorted(seconds, key=lambda group: -seconds[group])
    numbers = count()
    busy = [(0.0, next(numbers), "")] * max(workers, 1)
    order: list[str] = []
    while left:
        now, _, _ = heapq.heappop(busy)
        running = sum(1 for end, _, group in busy if end > now and group and is_stack(group))
        wants_stack = running < STACKS_AT_A_TIME
        group = next((one for one in left if is_stack(one) == wants_stack), left[0])
        left.remove(group)
        order.append(group)
        heapq.heappush(busy, (now + seconds[group], next(numbers), group))
    return order

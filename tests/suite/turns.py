"""In which order workers get groups of tests: the cores are used to the end, and nothing long begins last."""

import heapq
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final

STACKS_AT_A_TIME: Final = 2
"""A running stack wants a core or more; more of them at once only wait for each other, and orders meet deadlines."""


def turns(seconds: Mapping[str, float], is_stack: Callable[[str], bool], workers: int) -> list[str]:
    """The groups in their order: played through with as many workers, which each take the next when they are done.

    Longest first, and never more than STACKS_AT_A_TIME stacks while there is something else: beside them, tests of
    brokers and servers wait for restarts.
    """
    left = sorted(seconds, key=lambda group: -seconds[group])
    numbers = count()
    busy = [(0.0, next(numbers), "")] * max(workers, 1)
    order: list[str] = []
    while left:
        now, _, _ = heapq.heappop(busy)
        running = sum(1 for end, _, group in busy if end > now and group and is_stack(group))
        wanted = running < STACKS_AT_A_TIME
        group = next((one for one in left if is_stack(one) == wanted), left[0])
        left.remove(group)
        order.append(group)
        heapq.heappush(busy, (now + seconds[group], next(numbers), group))
    return order

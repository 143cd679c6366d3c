"""The limit of orders in flight, on a simulated queue: what it admits, how long that takes, and what it costs."""

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import pytest

from order_service.in_flight_limit import LEAST, RETRY_MOST, TICK, InFlightLimit

STEP = 0.02
DEADLINE = 30.0


def new_limit() -> InFlightLimit:
    return InFlightLimit(free=400, latency=1.5, deadline=DEADLINE)


def steady(rate: float) -> Callable[[int], float]:
    """A system that serves `rate` orders a second, however many are in flight."""
    return lambda in_flight: rate


def crowded(rate: float, beyond: int) -> Callable[[int], float]:
    """One that becomes slower the more orders are in flight beyond a number."""
    return lambda in_flight: rate / max(1.0, in_flight / beyond)


@dataclass
class System:
    """Serves orders as they came, each after 60 ms at least, at a rate that depends on how many wait."""

    capacity: Callable[[int], float]
    limit: InFlightLimit = field(default_factory=new_limit)
    now: float = 0.0
    in_flight: deque[float] = field(default_factory=deque)
    took: list[float] = field(default_factory=list)
    refused: int = 0
    most: int = 0
    _credit: float = 0.0
    _ended: int = 0
    _tick: float = TICK

    def offer(self) -> int | None:
        """Offer an order: None if it is admitted, or after how many seconds to come again."""
        if len(self.in_flight) >= self.limit.limit:
            self.refused += 1
            return self.limit.retry_after(self.now)
        self.in_flight.append(self.now)
        self.most = max(self.most, len(self.in_flight))
        return None

    def step(self) -> int:
        """Let a STEP pass; how many orders have ended in it."""
        self.now += STEP
        rate = self.capacity(len(self.in_flight))
        self._credit = min(self._credit + rate * STEP, max(rate * STEP, 1.0) + 1)
        ended = 0
        while self._credit >= 1 and self.in_flight and self.in_flight[0] <= self.now - 0.06:
            self.took.append(self.now - self.in_flight.popleft())
            self._credit -= 1
            ended += 1
        self._ended += ended
        if self.now >= self._tick:
            self._tick += TICK
            median = next(islice(self.in_flight, len(self.in_flight) // 2, None), self.now)
            self.limit.observe(self._ended, TICK, self.now - median)
            self._ended = 0
        return ended

    def open_arrivals(self, rate: float, seconds: float) -> None:
        """Offer new orders at `rate` a second; those refused come again when they were told to, until the end."""
        again: list[float] = []
        due = 0.0
        for _ in self._until(seconds):
            due += rate * STEP
            for _ in range(int(due) + taken(again, self.now)):
                wait = self.offer()
                if wait is not None:
                    heapq.heappush(again, self.now + wait)
            due -= int(due)
            self.step()

    def closed_loop(self, clients: int, seconds: float) -> None:
        """Clients who offer the next order as soon as their last one has ended."""
        waiting = [0.0] * clients
        for _ in self._until(seconds):
            for _ in range(taken(waiting, self.now)):
                wait = self.offer()
                if wait is not None:
                    heapq.heappush(waiting, self.now + wait)
            for _ in range(self.step()):
                heapq.heappush(waiting, self.now)

    def drain(self) -> None:
        while self.in_flight:
            self.step()

    def _until(self, seconds: float) -> Iterator[None]:
        end = self.now + seconds
        while self.now < end:
            yield


def taken(times: list[float], now: float) -> int:
    """Take the times that have come from the heap; how many those were."""
    count = 0
    while times and times[0] <= now:
        heapq.heappop(times)
        count += 1
    return count


def test_400_clients_of_a_system_that_keeps_up_are_all_served_from_the_first_moment() -> None:
    for rate in (300, 450, 1400):
        system = System(steady(rate))
        system.closed_loop(400, 20)
        assert system.refused == 0, rate


def test_a_burst_after_a_quiet_time_is_admitted() -> None:
    system = System(steady(450))
    system.open_arrivals(1, 60)
    system.drain()
    for _ in range(400):
        assert system.offer() is None
    system.drain()
    assert max(system.took) < 1.1


@pytest.mark.parametrize("capacity", [steady(450), crowded(450, beyond=1000)], ids=["steady", "crowded"])
def test_under_three_times_the_load_a_fast_system_serves_as_much_as_ever_and_soon(
    capacity: Callable[[int], float],
) -> None:
    system = System(capacity)
    system.open_arrivals(1350, 60)
    served = len(system.took)
    system.drain()
    assert served >= 0.95 * 60 * 450
    assert 500 < system.most < 1000
    assert max(system.took) < 2.5
    assert system.refused > 1000


def test_under_ten_times_the_load_a_slow_system_admits_what_it_can_end_in_half_the_deadline() -> None:
    system = System(steady(13))
    system.open_arrivals(130, 60)
    served = len(system.took)
    system.drain()
    assert served >= 0.9 * 60 * 13
    assert 180 < len(system.took) - served < 220, "what half a deadline can serve is in flight"
    assert max(system.took) < DEADLINE


def few_at_first() -> InFlightLimit:
    """The limit over Temporal."""
    return InFlightLimit(free=80, latency=1.5, deadline=DEADLINE)


def test_where_few_may_be_in_flight_a_crowd_that_comes_at_once_is_served_soon() -> None:
    system = System(steady(13), few_at_first())
    for _ in range(1000):
        system.offer()
    system.open_arrivals(130, 60)
    system.drain()
    assert system.most == 80
    assert max(system.took) < DEADLINE / 3


def test_where_few_may_be_in_flight_an_outage_refuses_nobody_in_a_small_shop() -> None:
    down = False
    system = System(lambda in_flight: 0 if down else 25, few_at_first())
    system.open_arrivals(5, 30)
    down = True
    system.open_arrivals(5, 0.9 * DEADLINE)
    assert system.refused == 0
    assert system.most > 80
    down = False
    system.open_arrivals(5, 30)
    assert system.refused < 30
    assert len(system.in_flight) < 5


def test_2000_clients_get_what_400_get_in_all() -> None:
    few, many = System(crowded(450, beyond=1000)), System(crowded(450, beyond=1000))
    few.closed_loop(400, 15)
    many.closed_loop(2000, 15)
    assert len(many.took) >= 0.95 * len(few.took)


def test_a_pause_of_ten_seconds_refuses_nobody_and_the_backlog_is_served() -> None:
    down = False
    system = System(lambda in_flight: 0 if down else 100)
    system.open_arrivals(10, 30)
    down = True
    system.open_arrivals(10, 10)
    assert system.refused == 0
    down = False
    system.drain()
    assert max(system.took) < 12


def test_an_outage_as_long_as_the_deadline_refuses_nobody_in_a_small_shop() -> None:
    down = False
    system = System(lambda in_flight: 0 if down else 100)
    system.open_arrivals(5, 30)
    down = True
    system.open_arrivals(5, DEADLINE)
    assert system.refused == 0


def test_while_nothing_ends_no_more_is_admitted_than_a_slow_system_could_end() -> None:
    system = System(steady(0))
    system.open_arrivals(20, 60)
    assert system.most == pytest.approx(LEAST, rel=0.5)


def test_after_an_overload_everybody_is_admitted_within_seconds() -> None:
    system = System(crowded(450, beyond=1000))
    system.open_arrivals(2000, 30)
    system.drain()
    before = system.refused
    system.open_arrivals(300, 10)
    assert system.refused == before


def test_refused_clients_come_back_one_by_one_and_nobody_waits_too_long() -> None:
    limit = new_limit()
    for _ in range(4):
        limit.observe(50, TICK, 2.0)
    assert limit.rate == 100
    waits = [limit.retry_after(1000.0) for _ in range(1000)]
    assert waits[:50] == [1] * 50
    assert waits == sorted(waits)
    assert waits[-1] == 20
    assert [limit.retry_after(1000.0) for _ in range(5000)][-1] == RETRY_MOST
    assert limit.retry_after(2000.0) == 1


def test_who_was_refused_in_an_outage_comes_back_soon_after_it() -> None:
    limit = new_limit()
    for ended in (0, 0, 0, 0, 1, 0, 1, 0):
        limit.observe(ended, TICK, 10.0)
    assert 0 < limit.rate < 1
    assert max(limit.retry_after(1000.0) for _ in range(100)) <= 11


def test_one_order_that_hangs_does_not_count_as_a_slow_system() -> None:
    limit = new_limit()
    for _ in range(100):
        limit.observe(1, TICK, 0.03)  # the median does not follow it
    assert limit.limit == 400


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_observed_the_limit_stays_above_the_least(seed: int) -> None:
    dice, limit = random.Random(seed), new_limit()
    for _ in range(1000):
        limit.observe(dice.choice((0, 0, 1, 5, 700)), dice.choice((0.5, 0.6, 3.0)), dice.choice((0.0, 0.1, 2.0, 100.0)))
        assert limit.limit >= LEAST
        assert 1 <= limit.retry_after(1000.0) <= RETRY_MOST

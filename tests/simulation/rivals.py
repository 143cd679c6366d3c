"""Two orders that want the last piece: every reachable state of both together.

Two orders meet in one place, the stock: of all that one does, the other can see no more than whether the piece is
there. So what one order can do is explored by itself, with the piece there and with the piece gone, and the states of
both together are then the pairs, moved one order at a time; the piece is there for one if the other does not hold it.
That is every interleaving of the two, with nothing left out; acts of different orders that do not touch the stock
commute, so their pairs are made of parts that are computed once. For two orders of one kind (a, b) and (b, a) are one
pair, since they differ in their names alone. `test_every_state.py` compares the number of pairs with a plain
exploration of two orders, where that is small enough.

What is judged: each order's state and both its endings, with the piece there and with the piece gone, as `explore`
does it. An order asks for stock once, so its ending with another at work beside it is one of these two. Of pairs: that
both do not hold more than there is.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import msgspec

from tests.simulation.design import Design
from tests.simulation.explore import Ending, TooLarge, broken, delivered, nudged, successors
from tests.simulation.invariants import Violation
from tests.simulation.scenario import Scenario
from tests.simulation.world import World

SKU: Final = "cup"


@dataclass(slots=True)
class Alone:
    """One order's states, by number, 0 being the empty world: what it may become, and whether it holds the piece.

    `after[n][p]`: the states that n can become in one act, with the piece there (p = 1) or gone (p = 0).
    """

    after: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    holds: list[int] = field(default_factory=list)
    endings: set[Ending] = field(default_factory=set)
    violation: Violation | None = None
    transitions: int = 0


@dataclass(slots=True)
class Pairs:
    """`states` and `transitions` of both orders together; (a, b) and (b, a) count as two, as in a plain exploration."""

    states: int = 0
    transitions: int = 0
    violation: Violation | None = None


def alone(design: Design, scenario: Scenario, cancels: bool = True, bound: int = 100_000) -> Alone:
    """Explore one order beside any rival for the one piece of stock; TooLarge beyond `bound` states."""
    order = Alone()
    start = _with_piece(World(design, scenario, eternal=True), 1)
    numbers = {start.digest(): 0}
    queue = deque([start])
    while queue and order.violation is None:
        world = queue.popleft()
        holds = _held(world)
        order.holds.append(holds)
        both: list[tuple[int, ...]] = []
        for piece in (0, 1):
            if holds and piece:
                both.append(())  # the piece is this order's
                continue
            here = world if holds else _with_piece(world, piece)
            _judge(here, order)
            after: set[int] = set()
            for _, then in successors(here, cancels, (design.style,)):
                order.transitions += 1
                with_piece = then if _held(then) else _with_piece(then, 1)
                key = with_piece.digest()
                if key not in numbers:
                    numbers[key] = len(numbers)
                    queue.append(with_piece)
                after.add(numbers[key])
            both.append(tuple(sorted(after)))
        order.after.append((both[0], both[1]))
        if len(numbers) > bound:
            raise TooLarge(f"more than {bound} states")
    return order


def pairs(one: Alone, other: Alone) -> Pairs:
    """Explore all reachable pairs of states of two orders with one piece between them."""
    result, width, alike = Pairs(), len(other.after), one is other
    visited = bytearray(len(one.after) * width)
    visited[0] = 1
    queue = deque([(0, 0)])
    while queue:
        left, right = queue.popleft()
        weight = 2 if alike and left != right else 1
        result.states += weight
        if one.holds[left] + other.holds[right] > 1:
            result.violation = Violation(5, f"both orders hold the one piece, in the states {left} and {right}")
            break
        there = 1 - one.holds[left] - other.holds[right]
        moves = [(then, right) for then in one.after[left][there]]
        moves += [(left, then) for then in other.after[right][there]]
        result.transitions += weight * len(moves)
        for move in moves:
            low, high = sorted(move) if alike else move
            if not visited[low * width + high]:
                visited[low * width + high] = 1
                queue.append((low, high))
    return result


def _judge(world: World, order: Alone) -> None:
    order.violation = order.violation or next(broken(world), None)
    if order.violation is None:
        order.violation = next(iter(delivered(world, (world.design.style,))), None)
    if order.violation is None:
        order.violation, endings = nudged(world)
        order.endings |= endings


def _held(world: World) -> int:
    item = world.databases["inventory"].items[SKU]
    return item.reserved + item.committed


def _with_piece(world: World, piece: int) -> World:
    """The same world, with the one piece available (1) or with the rival (0)."""
    items = world.databases["inventory"].items
    if items[SKU].available == piece:
        return world
    twin = world.copy()
    items = twin.databases["inventory"].items
    items[SKU] = msgspec.structs.replace(items[SKU], received=piece, available=piece)
    return twin

"""Every reachable state of a small world, breadth first.

A message once sent stays deliverable for ever, which covers duplicates, delays and any order; a provider call once
leased may be made, and its answer recorded, at any time and repeatedly; the customer's cancel and the deadline may
come at any time. From every state the world is also brought to its end in two ways: all messages are lost and only the
sweeper acts, in this style and, as after a change of mode, in the other; and nothing is lost, but there is no sweeper.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from checkout.messages import CancelOrder
from order_service.domain import NEW
from sagakit.door import Do
from tests.simulation.design import STYLES, Design
from tests.simulation.invariants import Violation, finality, safety
from tests.simulation.scenario import Scenario
from tests.simulation.steps import drain, heal, order_of
from tests.simulation.world import World

Act = tuple[str, Callable[[World], object]]
Ending = tuple[str, str | None]


@dataclass(slots=True)
class Exploration:
    """How many states there are, how many of them differ once all messages are lost, and what was found."""

    states: int = 0
    transitions: int = 0
    silent: int = 0
    endings: frozenset[Ending] = frozenset()
    violation: Violation | None = None
    path: tuple[str, ...] = ()


class TooLarge(Exception):
    """There are more states than the bound allows."""


def explore(design: Design, scenario: Scenario, cancels: bool = True, bound: int = 100_000) -> Exploration:
    """All states from the empty world, or up to the first violation; the path to it is a shortest one.

    Without `cancels`, neither the customer nor the deadline cancels. Raises TooLarge beyond `bound` states.
    """
    found = Exploration()
    start = World(design, scenario, eternal=True)
    names: dict[bytes, tuple[bytes, str]] = {start.digest(): (b"", "")}
    silent: set[bytes] = set()
    endings: set[Ending] = set()
    queue = deque([start])
    while queue:
        world = queue.popleft()
        found.states += 1
        if found.states > bound:
            raise TooLarge(f"more than {bound} states")
        violation = next(_broken(world), None) or next(iter(_delivered(world)), None)
        core = world.digest(network=False)
        if violation is None and core not in silent:
            silent.add(core)
            for style in STYLES:
                broken, ending = _reminded(world, style)
                violation = violation or broken
                endings |= ending
        if violation is not None:
            found.violation, found.path = violation, _path(names, world.digest())
            break
        here = world.digest()
        for name, act in _acts(world, cancels):
            found.transitions += 1
            then = world.copy()
            act(then)
            key = then.digest()
            if key not in names:
                names[key] = (here, name)
                queue.append(then)
    found.silent, found.endings = len(silent), frozenset(endings)
    return found


def _acts(world: World, cancels: bool) -> Iterator[Act]:
    for command in world.scenario.orders:
        order_id = command.order_id
        if order_of(world, order_id).status == NEW:
            yield f"place {order_id}", lambda then, command=command: then.ask_order(Do(command))  # type: ignore[misc]
            continue
        for reason in ("CUSTOMER_REQUESTED", "TIMED_OUT") if cancels else ():
            cancel = Do(CancelOrder(order_id, reason))
            yield f"cancel {order_id} as {reason}", lambda then, cancel=cancel: then.ask_order(cancel)  # type: ignore[misc]
    for key in world.network:
        yield f"deliver {key}", lambda then, key=key: then.deliver([key])  # type: ignore[misc]
    for key in world.leased:
        outcome = world.outside.answers.get(key)
        if outcome is None or not world.outside.keyed:
            yield f"call {key}", lambda then, key=key: then.ask(key)  # type: ignore[misc]
        if outcome is not None:
            yield f"record {key}", lambda then, key=key, outcome=outcome: then.record(key, outcome)  # type: ignore[misc]


def _broken(world: World) -> Iterator[Violation]:
    yield from safety(world)
    for what in (*world.dead, *world.outside.rejected):
        yield Violation(8, what)
    for lie in world.lies:
        yield Violation(9, lie)


def _delivered(world: World) -> list[Violation]:
    """Nothing is lost, and nobody reminds."""
    rest = _finite(world)
    drain(rest)
    return finality(rest)


def _reminded(world: World, style: str) -> tuple[Violation | None, set[Ending]]:
    """All messages are lost; what the databases hold must be enough for the sweeper, in either style."""
    rest = _finite(world)
    rest.adopt(replace(world.design, style=style))
    heal(rest)
    orders = rest.databases["order"].states.values()
    return next(iter(finality(rest)), None), {(order.status, order.cancellation_reason) for order in orders}


def _finite(world: World) -> World:
    """The same world, in which what is handled is gone."""
    rest = world.copy()
    rest.eternal = False
    for key, name in world.leased.items():
        if key in world.outside.answers and world.is_recorded(key):
            del rest.leased[key], rest.databases[name].outbox[key]
    return rest


def _path(names: dict[bytes, tuple[bytes, str]], key: bytes) -> tuple[str, ...]:
    path: list[str] = []
    while key in names and names[key][1]:
        key, name = names[key]
        path.append(name)
    return tuple(reversed(path))

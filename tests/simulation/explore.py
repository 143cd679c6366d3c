"""Every reachable state of a small world, breadth first.

A message that was sent stays deliverable for ever, which covers duplicates, delays and any order; a provider call that
was leased may be made, and its answer recorded, at any time and repeatedly; the customer's cancel and the deadline may
come at any time. From every state the world is also brought to its end in two ways: all messages are lost and only the
sweeper acts, in this style and, as after a change of mode, in the other; or nothing is lost, but there is no sweeper.

With both `styles`, processes of both are at work in every service all the time: each message is handled in the style of
its broker, and all else in either. That covers every change of style, of all services or of some, there and back, and
at any moment.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from checkout.messages import CancelOrder
from order_service.domain import NEW
from sagakit.work import Execute
from tests.simulation.design import STYLES, Design
from tests.simulation.healing import drain, heal
from tests.simulation.invariants import Violation, finality, safety
from tests.simulation.scenario import Scenario
from tests.simulation.steps import order_of
from tests.simulation.world import World

Act = tuple[str, Callable[[World], object]]
Ending = tuple[str, str | None]


@dataclass(slots=True)
class Exploration:
    """The number of states, how many of them differ once all messages are lost, and what was found."""

    states: int = 0
    transitions: int = 0
    silent: int = 0
    endings: frozenset[Ending] = frozenset()
    violation: Violation | None = None
    path: tuple[str, ...] = ()


class TooLarge(Exception):
    """There are more states than the bound allows."""


def explore(
    design: Design,
    scenario: Scenario,
    cancels: bool = True,
    bound: int = 100_000,
    styles: tuple[str, ...] = (),
) -> Exploration:
    """Explore all states from the empty world, up to the first violation; the path to it is a shortest one.

    Without `cancels`, neither the customer nor the deadline cancels. `styles`: those at work; that of the design if
    none is given. Raises TooLarge beyond `bound` states.
    """
    styles = styles or (design.style,)
    exploration = Exploration()
    start = World(design, scenario, eternal=True)
    names: dict[bytes, tuple[bytes, str]] = {start.digest(): (b"", "")}
    silent: set[bytes] = set()
    endings: set[Ending] = set()
    queue = deque([start])
    while queue:
        world = queue.popleft()
        exploration.states += 1
        if exploration.states > bound:
            raise TooLarge(f"more than {bound} states")
        violation = next(broken(world), None) or next(iter(delivered(world, styles)), None)
        core = world.digest(network=False)
        if violation is None and core not in silent:
            silent.add(core)
            violation, ending = nudged(world)
            endings |= ending
        if violation is not None:
            exploration.violation, exploration.path = violation, _path(names, world.digest())
            break
        here = world.digest()
        for name, then in successors(world, cancels, styles):
            exploration.transitions += 1
            key = then.digest()
            if key not in names:
                names[key] = (here, name)
                queue.append(then)
    exploration.silent, exploration.endings = len(silent), frozenset(endings)
    return exploration


def successors(world: World, cancels: bool, styles: tuple[str, ...]) -> Iterator[tuple[str, World]]:
    """Every act that is possible in `world` in each of the styles, with the world after it, back in its style."""
    for style in styles:
        here = world
        if style != world.design.style:
            here = world.copy()
            here.adopt(style)
        for name, act in _acts(here, cancels):
            then = here.copy()
            act(then)
            then.adopt(world.design.style)
            yield (f"{name}, in {style}" if len(styles) > 1 else name), then


def _acts(world: World, cancels: bool) -> Iterator[Act]:
    for command in world.scenario.orders:
        order_id = command.order_id
        if order_of(world, order_id).status == NEW:
            yield f"place {order_id}", lambda then, command=command: then.ask_order(Execute(command))  # type: ignore[misc]
            continue
        for reason in ("CUSTOMER_REQUESTED", "TIMED_OUT") if cancels else ():
            cancel = Execute(CancelOrder(order_id, reason))
            yield f"cancel {order_id} as {reason}", lambda then, cancel=cancel: then.ask_order(cancel)  # type: ignore[misc]
    for key in world.network:
        yield f"deliver {key}", lambda then, key=key: then.deliver([key])  # type: ignore[misc]
    for key in world.leased:
        outcome = world.outside.answers.get(key)
        if outcome is None or not world.outside.keyed:
            yield f"call {key}", lambda then, key=key: then.ask(then.called(key))  # type: ignore[misc]
        if outcome is not None:
            yield f"record {key}", lambda then, key=key, outcome=outcome: then.record(key, outcome)  # type: ignore[misc]


def broken(world: World) -> Iterator[Violation]:
    """The violations of a world at any moment."""
    yield from safety(world)
    for what in (*world.dead, *world.outside.rejected):
        yield Violation(8, what)
    for lie in world.lies:
        yield Violation(9, lie)


def delivered(world: World, styles: tuple[str, ...]) -> list[Violation]:
    """The violations at the end if nothing is lost and there is no sweeper."""
    rest = _finite(world)
    drain(rest)
    if len(styles) > 1:
        for style in (*reversed(styles), *styles):
            rest.adopt(style)
            drain(rest)
    return finality(rest)


def nudged(world: World) -> tuple[Violation | None, set[Ending]]:
    """Lose all messages: the databases must hold enough for the sweeper to finish, in either style."""
    violation: Violation | None = None
    endings: set[Ending] = set()
    for style in STYLES:
        rest = _finite(world)
        rest.carrier.forget()
        rest.adopt(style)
        heal(rest)
        violation = violation or next(iter(finality(rest)), None)
        orders = rest.databases["order"].states.values()
        endings |= {(order.status, order.cancellation_reason) for order in orders}
    return violation, endings


def _finite(world: World) -> World:
    """The same world, in which handled messages are gone."""
    rest = world.copy()
    rest.eternal = rest.carrier.eternal = False
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

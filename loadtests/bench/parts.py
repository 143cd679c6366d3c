"""The parts of a bench: what is measured of a mode in a round, and in which order.

A visit is all that a round measures of a mode. The stack is started once for it, so parts that disturb it most come
last; those that need other settings of the stack have it started again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

COLD_START: Final = "cold-start"
STEADY: Final = "steady"
DEAD_SERVICE: Final = "dead-service"
SATURATION: Final = "saturation"
BACKLOG: Final = "backlog"
PEER: Final = "peer"
FLOOR: Final = "floor"

DEAD: Final = "payment"
"""The service that is dead for a while."""
DEAD_AFTER: Final = 5
"""Seconds from the beginning of the window to its end."""
DEAD_FOR: Final = 10
"""Seconds for which it is dead."""
BACKLOG_SECONDS: Final = 60.0
"""A backlog has at most as many orders as arrive in these seconds at the highest rate that holds, if it is known."""
PLACING: Final = 60.0
"""Seconds at most in which the orders of a backlog are placed."""
DRAINING: Final = 300.0
"""Seconds at most that a backlog may take to drain."""
REFUSED: Final = ("sold-out", "declined", "undeliverable")


def failing(share: float) -> str:
    """A mix in which this share of the orders is refused, for one of three reasons each."""
    return ",".join([f"good:{1 - share:g}", *(f"{kind}:{share / len(REFUSED):.6f}" for kind in REFUSED)])


@dataclass(frozen=True, slots=True)
class Part:
    """A part: `what` it shows; it is measured in the first `rounds`, and in all modes or in one of each transport.

    `mix` is that of `loadtests.shoppers`; `settings` are those of the stack that differ; `seconds` is how long it takes
    beyond the load of a steady run, about.
    """

    what: str
    rounds: int
    everywhere: bool
    seconds: float
    mix: str = "good"
    settings: Mapping[str, str] = field(default_factory=dict)


PARTS: Final[Mapping[str, Part]] = {
    COLD_START: Part("from nothing to the first completed order", 1, True, 20),
    STEADY: Part("good orders at each rate", 1_000, True, 6),
    "failing-1": Part("1 % of the orders are refused", 1, False, 6, failing(0.01)),
    "failing-10": Part("10 % of the orders are refused", 1, False, 6, failing(0.1)),
    DEAD_SERVICE: Part(f"the {DEAD} service is dead for {DEAD_FOR} s", 1, False, 20),
    SATURATION: Part("the highest rate that holds", 2, True, 75),
    "slow-provider": Part(
        "the provider takes 3 s for a tenth of the payments",
        1,
        False,
        20,
        "good:0.9,slow:0.1",
        {"PROVIDERS": "sandbox"},
    ),
    BACKLOG: Part(
        "orders that wait while no participant runs, and how fast they are done then",
        1,
        False,
        140,
        settings={"SAGA_DEADLINE": "900", "ADMISSION_FREE": "100000", "SAGA_ATTENTION_AFTER": "900"},
    ),
}
"""The parts of a visit, in their order."""
PEER_PART: Final = Part("the same work by other means", 1_000, True, 8)
FLOOR_PART: Final = Part("the least SQL, as fast as it goes", 1_000, True, 10)


def part(name: str) -> Part:
    """The part with that name.

    Raises:
        KeyError: There is none.
    """
    return {PEER: PEER_PART, FLOOR: FLOOR_PART}.get(name) or PARTS[name]

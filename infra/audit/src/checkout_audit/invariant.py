"""What an invariant is: a number, a name, a sentence, and a pure function that finds what contradicts it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from checkout_audit.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Violation:
    """`subject`: the order, SKU, message or key concerned; `what`: what is wrong with it."""

    subject: str
    what: str


class Scope(Enum):
    """What a snapshot must hold for an invariant to be judged on it."""

    SLICE = "everything about some subjects"
    WHOLE = "the rows of all orders and reservations, and all stock"


@dataclass(frozen=True, slots=True)
class Invariant:
    """`check` is pure; `population` counts what it looks at, so that a verdict over nothing is seen as such."""

    number: int
    name: str
    meaning: str
    scope: Scope
    check: Callable[[Snapshot], list[Violation]]
    population: Callable[[Snapshot], int]

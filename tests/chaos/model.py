"""The types of a chaos run: what is broken, what was felt of it, and what was judged."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tests.chaos.stack import StackUnderTest


class Verdict(StrEnum):
    """UNKNOWN: what a run would have to show was not there to be seen, so nothing is proved either way."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One judged statement of a run; `detail` says what was measured, in one line."""

    name: str
    verdict: Verdict
    detail: str


class NotAvailable(Exception):
    """This fault cannot be had on this machine or in this mode; the text says what is missing."""


@dataclass(slots=True)
class Injection:
    """One fault that is in force, or was; times are seconds of `time.time()`.

    `target` is a process ("payment", "payment-db"), a role ("broker") or a route ("payment->payment-db").
    `felt` says whether the system noticed: a process got a new pid, a connection broke, a toxic passed bytes, a dead
    letter exists. None: that is not known.
    """

    fault: str
    target: str
    began: float
    ended: float | None = None
    felt: bool | None = None
    detail: str = ""


class Fault(Protocol):
    """A way to break a part of the system.

    `name` is the word in FAULTS=; `kind` is "process", "network", "message", "provider", "resource" or "rollout".
    A fault of kind "rollout" changes the whole stack: the schedule lets nothing else run beside it.
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        """The parts that it can break in this stack, at least one. Raises NotAvailable."""
        ...

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        """Break `target`, keep it broken for about `seconds`, heal it, and return with what was felt.

        When it is cancelled it heals at once. Raises NotAvailable.
        """
        ...

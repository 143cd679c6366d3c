"""The types of a chaos run: faults, their injections, and checks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tests.chaos.stack import StackUnderTest


class Verdict(StrEnum):
    """The verdict of a check; UNKNOWN: the run did not show what the check is about, so nothing is proved."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a run; `detail` says in one line what was measured."""

    name: str
    verdict: Verdict
    detail: str


class NotAvailable(Exception):
    """This fault is not available on this machine or in this mode; the message says what is missing."""


@dataclass(slots=True)
class Injection:
    """One fault that is or was in force; times are seconds of `time.time()`.

    `target` is a process ("payment", "payment-db"), a role ("broker") or a route ("payment->payment-db").
    `felt` says whether the system noticed: a process got a new pid, a connection broke, a toxic passed bytes, a dead
    letter exists. None: it is not known.
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
